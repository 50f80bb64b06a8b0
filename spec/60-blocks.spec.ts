import test, { type Test } from "tape";
import { BlockDecoder } from "../src/engine/blocks.js";
import { Random } from "../tools/engine/pages.js";
import { readLz4, readLzo1x } from "./support/block-readers.js";

const ROUNDS = 4000;
const ROOM = 1 << 12;

/** Random instructions, most of them valid; `next(n)` gives 0 to n - 1. */
type Writer = (next: (below: number) => number) => number[];

/** A length that goes on, in lz4's way. */
function more(length: number): number[] {
  return [...Array<number>(Math.floor(length / 255)).fill(255), length % 255];
}

const lz4Block: Writer = (next) => {
  const out: number[] = [];
  for (let made = 0, count = next(12); count >= 0; count--) {
    const literals = next(5) === 0 ? next(400) : next(15);
    const match = next(5) === 0 ? next(400) : next(15);
    out.push((Math.min(literals, 15) << 4) | Math.min(match, 15));
    if (literals >= 15) out.push(...more(literals - 15));
    for (let k = 0; k < literals; k++) out.push(next(256));
    made += literals;
    if (count === 0) break;
    const distance = 1 + (next(9) === 0 ? next(made + 3) : next(Math.min(made, 40)));
    out.push(distance & 0xff, distance >> 8);
    if (match >= 15) out.push(...more(match - 15));
    made += match + 4;
  }
  return out;
};

const lzoBlock: Writer = (next) => {
  const out: number[] = [17 + 4 + next(12)];
  for (let k = 4; k < out[0]! - 13; k++) out.push(next(256));
  while (out.length - 1 < out[0]! - 17) out.push(next(256));
  for (let count = next(14); count > 0; count--) {
    const literals = next(4);
    const kind = next(4);
    const near = next(12);
    if (kind === 0) out.push(((1 + next(6)) << 5) | 32 | ((near & 7) << 2) | literals, near >> 3);
    else if (kind === 1) out.push(32 | next(32), (near << 2) | literals, 0);
    else if (kind === 2) out.push(next(16), next(8));
    else out.push(32, 0, next(40), (near << 2) | literals, 0);
    for (let k = 0; k < literals; k++) out.push(next(256));
  }
  out.push(17, 0, 0);
  return out;
};

/** Calls `hold` with random blocks, each also with a byte changed and cut. */
function blocks(write: Writer, hold: (block: Uint8Array) => void): void {
  const random = new Random(7);
  const next = (below: number): number => random.below(below);
  for (let k = 0; k < ROUNDS; k++) {
    const block = Uint8Array.from(write(next));
    hold(block);
    const changed = block.slice();
    changed[next(block.length)]! ^= 1 << next(8);
    hold(changed);
    hold(block.subarray(0, next(block.length)));
  }
}

/** Results as text: the bytes, or where the error is. */
function shown(result: Uint8Array | number): string {
  return typeof result === "number" ? `wrong at ${result}` : Buffer.from(result).toString("hex");
}

function report(t: Test, differences: readonly string[], good: number): void {
  t.deepEqual(differences.slice(0, 3), [], `${ROUNDS * 3} blocks, ${good} of them valid`);
  t.ok(good > ROUNDS / 10, "enough are valid");
}

test("lz4 blocks: WebAssembly gives what a reader byte by byte gives", async (t) => {
  const decoder = await BlockDecoder.create();
  for (const linked of [false, true]) {
    const differences: string[] = [];
    let good = 0;
    let history = new Uint8Array(0);
    decoder.beginLz4(ROOM, linked);
    blocks(lz4Block, (block) => {
      const out = new Uint8Array(history.length + ROOM);
      out.set(history);
      const end = readLz4(block, out, history.length, out.length);
      const wanted = end < 0 ? end : out.subarray(history.length, end);
      const found = decoder.lz4(block, false);
      if (shown(found) !== shown(wanted)) differences.push(`${Buffer.from(block).toString("hex")}: ${shown(found)}`);
      if (end < 0) return;
      good++;
      if (linked) history = out.slice(Math.max(0, end - (1 << 16)), end);
    });
    report(t, differences, good);
  }
});

test("LZO1X blocks: WebAssembly gives what a reader byte by byte gives", async (t) => {
  const decoder = await BlockDecoder.create();
  const differences: string[] = [];
  let good = 0;
  blocks(lzoBlock, (block) => {
    // The size is stated by the file: here what the block makes, or another one.
    const all = new Uint8Array(ROOM);
    const size = lengthOf(block, all) ?? 100;
    const out = new Uint8Array(size);
    const wrong = readLzo1x(block, out);
    const found = decoder.lzo1x(block, size);
    if (shown(found) !== shown(wrong < 0 ? out : wrong)) differences.push(Buffer.from(block).toString("hex"));
    if (wrong < 0) good++;
  });
  report(t, differences, good);
});

/** How many bytes a block makes: the size at which the reader takes it. */
function lengthOf(block: Uint8Array, all: Uint8Array): number | undefined {
  for (let size = 0; size <= 600; size++) if (readLzo1x(block, all.subarray(0, size)) < 0) return size;
  return undefined;
}

test("Adler-32 of any length", async (t) => {
  const decoder = await BlockDecoder.create();
  const bytes = new Uint8Array(100_000).fill(255);
  for (const length of [0, 1, 4095, 4096, 4097, 65_521, 100_000]) {
    let a = 1;
    let b = 0;
    for (let k = 0; k < length; k++) {
      a = (a + bytes[k]!) % 65521;
      b = (b + a) % 65521;
    }
    t.equal(decoder.adler32(bytes.subarray(0, length)), b * 65536 + a, `${length} bytes`);
  }
});
