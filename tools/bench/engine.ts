/**
 * `bench -- engine [STREAM]`: the page engine on one thread against C zlib with its state reset for each page, over the
 * same pages.
 *
 * - `deflate page`, `deflate exact`: pages per second against deflate at level 1.
 * - `inflate`: pages per second, over the payloads that C zlib writes at level 1.
 *
 * Pages are non-zero pages of STREAM, a capture with plain pages, or else of this machine's files and this process's
 * memory. C zlib runs in a separate process and measures itself. Ours copies pages in and payloads or pages out through
 * batches, as a thread does.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDeflater, createInflater, type EngineKind } from "../../src/engine/index.js";
import { startCZlib, type CZlib } from "../engine/c-zlib.js";
import { pagesOfHost, pagesOfStream } from "../engine/sample.js";
import { pairs, row, type BenchOptions, type BenchRow, type Side } from "./pair.js";

const PAGE = 4096;
const PAGES = 8192;
const BATCH = 64;

export async function rows({ runs, arguments: [stream] }: BenchOptions): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-bench-"));
  try {
    const pages = stream === undefined ? pagesOfHost(PAGES) : await pagesOfStream(stream, PAGES);
    return await measure(folder, pages, stream ?? "files and memory of this machine", runs ?? 15);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(folder: string, pages: Uint8Array, origin: string, runs: number): Promise<BenchRow[]> {
  const plain = join(folder, "pages");
  const packed = join(folder, "payloads");
  writeFileSync(plain, pages);
  // page-exact must write C zlib's bytes: the total is compared below, the bytes in the specification.
  const exact = await compressor("page-exact", pages);
  const payloads = exact.payloads();
  writeFileSync(packed, Buffer.concat(payloads.flatMap((payload) => [be32(payload.length), payload])));
  const theirs = await started("deflate", plain);
  const theirInflate = await started("inflate", packed);
  try {
    const { bytes } = await theirs.round();
    const note = (size: number): string => `${((size * PAGE) / bytes).toFixed(3)} times its bytes`;
    const result: BenchRow[] = [];
    for (const [name, kind] of [
      ["deflate page", "page"],
      ["deflate exact", "page-exact"],
    ] as const) {
      const ours = kind === "page-exact" ? exact : await compressor(kind, pages);
      const total = ours.payloads().reduce((sum, payload) => sum + payload.length, 0);
      const measured = await pairs(ours, side(theirs), runs);
      const against = `${theirs.what}, level 1 (${note(total / PAGE)})`;
      result.push(row(name, against, measured, about(measured.a, measured.b, origin, bytes)));
    }
    const inflating = await pairs(await decompressor(payloads, pages), side(theirInflate), runs);
    result.push(row("inflate", theirInflate.what, inflating, about(inflating.a, inflating.b, origin, bytes)));
    return result;
  } finally {
    theirs.end();
    theirInflate.end();
  }
}

function about(ours: number, theirs: number, origin: string, bytes: number): string {
  return `${thousands(ours)} to ${thousands(theirs)} pages/s, ${PAGES} pages of ${origin}, ${((PAGES * PAGE) / bytes).toFixed(2)} to 1`;
}

function thousands(rate: number): string {
  return `${(rate / 1000).toFixed(1)} k`;
}

async function started(kind: "deflate" | "inflate", file: string): Promise<CZlib> {
  const zlib = await startCZlib(kind, file, PAGE);
  if (zlib === undefined) throw new Error("no C zlib to measure against: neither gcc with zlib.h nor python3");
  return zlib;
}

function side(zlib: CZlib): Side {
  return { measure: async () => PAGES / (await zlib.round()).seconds };
}

function perSecond(work: () => void): number {
  const start = process.hrtime.bigint();
  work();
  return PAGES / (Number(process.hrtime.bigint() - start) / 1e9);
}

async function compressor(kind: EngineKind, pages: Uint8Array): Promise<Side & { payloads(): Uint8Array[] }> {
  const engine = await createDeflater(kind);
  const batch = engine.batch(BATCH);
  const { pages: room } = batch;
  const work = (): void => {
    for (let at = 0; at < pages.length; at += BATCH * PAGE) {
      room.set(pages.subarray(at, at + BATCH * PAGE));
      batch.run(BATCH);
    }
  };
  const payloads = (): Uint8Array[] =>
    Array.from({ length: PAGES }, (_, i) => engine.deflate(pages.subarray(i * PAGE, (i + 1) * PAGE)).slice());
  return { measure: () => perSecond(work), payloads };
}

async function decompressor(payloads: readonly Uint8Array[], pages: Uint8Array): Promise<Side> {
  const batch = (await createInflater("page")).batch(BATCH);
  const work = (): void => {
    const { input, starts, lengths } = batch;
    for (let i = 0; i < payloads.length; i += BATCH) {
      let at = 0;
      for (let k = 0; k < BATCH; k++) {
        const payload = payloads[i + k]!;
        input.set(payload, at);
        starts[k] = at;
        lengths[k] = payload.length;
        at += payload.length;
      }
      if (batch.run(BATCH) !== 0) throw new Error("a payload was refused");
    }
  };
  work();
  const last = pages.subarray((PAGES - BATCH) * PAGE);
  if (Buffer.compare(last, batch.pages) !== 0) throw new Error("the pages differ");
  return { measure: () => perSecond(work) };
}

function be32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
