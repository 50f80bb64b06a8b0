import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Input } from "../../src/io/container/index.js";
import { projectRoot } from "../../tools/corpus.js";

const folder = join(projectRoot(), "corpus", "libvirt");

/** The corpus's libvirt image of a format. */
export const image = (format: string): Buffer =>
  format === "raw" || format === "sparse"
    ? gunzipSync(readFileSync(join(folder, `save.${format}.gz`)))
    : readFileSync(join(folder, `save.${format}`));

/** All bytes of an input. */
export async function bytesOf(input: Input): Promise<Buffer> {
  const parts: Buffer[] = [];
  const piece = new Uint8Array(100_000);
  for (;;) {
    const n = await input.read(piece);
    if (n === 0) return Buffer.concat(parts);
    parts.push(Buffer.from(piece.subarray(0, n)));
  }
}
