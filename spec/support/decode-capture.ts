/** Runs in Node and in a browser, so it uses no Node API. */
import { createDeflater, createInflater } from "../../src/engine/index.js";
import { MemorySource } from "../../src/bytes/source.js";
import { RamFlag } from "../../src/codec/ram/index.js";
import { StreamReader } from "../../src/codec/stream/index.js";

/** The result of decoding a capture. */
export interface Decoded {
  items: number;
  compressed: number;
  /** Payloads that the exact mode reproduces. */
  identical: number;
  /** SHA-256 of all compressed pages' contents, in stream order. */
  pages: string;
  /** SHA-256 of the fast mode's output for them. */
  recompressed: string;
}

/** Decodes a stream, inflates its compressed pages with the page engine, and compresses them again in two modes. */
export async function decodeCapture(bytes: Uint8Array): Promise<Decoded> {
  const inflater = await createInflater("page");
  const exact = await createDeflater("page-exact");
  const fast = await createDeflater("page");
  const pages: Uint8Array[] = [];
  const payloads: Uint8Array[] = [];
  const decoded = { items: 0, compressed: 0, identical: 0 };
  const page = new Uint8Array(4096);
  for await (const item of new StreamReader(new MemorySource(bytes))) {
    decoded.items++;
    if (item.kind !== "section" || item.content.kind !== "ram") continue;
    for await (const batch of item.records()) {
      for (let i = 0; i < batch.count; i++) {
        if (batch.flag[i] !== RamFlag.COMPRESS_PAGE) continue;
        const payload = batch.body(i);
        inflater.inflate(payload, page);
        const again = exact.deflate(page);
        decoded.compressed++;
        if (again.length === payload.length && again.every((byte, k) => byte === payload[k])) decoded.identical++;
        pages.push(page.slice());
        payloads.push(fast.deflate(page).slice());
      }
    }
  }
  return { ...decoded, pages: await sha256(pages), recompressed: await sha256(payloads) };
}

async function sha256(parts: readonly Uint8Array[]): Promise<string> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", all));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
