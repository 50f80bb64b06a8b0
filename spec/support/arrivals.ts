/** The same bytes with every relevant chunking, for tests with captures. */
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { IterableSource, MemorySource, type ByteSource } from "../../src/bytes/index.js";

/**
 * One source for each chunking; each call makes a new one. `slowly` waits a millisecond every seven bytes: not for long
 * inputs.
 */
export function arrivals(bytes: Uint8Array): Record<string, () => ByteSource> {
  return {
    whole: () => new MemorySource(bytes),
    "byte by byte": () => new MemorySource(bytes, 1),
    "three at a time": () => new MemorySource(bytes, 3),
    "chunks, some of them empty": () =>
      new IterableSource([bytes.subarray(0, 5), new Uint8Array(0), bytes.subarray(5, 6), bytes.subarray(6)]),
    slowly: () =>
      new IterableSource(
        (async function* () {
          for (let i = 0; i < bytes.length; i += 7) {
            await sleep(1);
            yield bytes.subarray(i, i + 7);
          }
        })(),
      ),
    "Node stream": () => new IterableSource(Readable.from([bytes.subarray(0, 9), bytes.subarray(9)])),
    "web stream": () =>
      new IterableSource(
        Readable.toWeb(Readable.from([bytes.subarray(0, 1), bytes.subarray(1)])) as AsyncIterable<Uint8Array>,
      ),
  };
}
