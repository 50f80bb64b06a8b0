/** A decoder that does everything that the fuzz kit must detect, by the length of its input. */
import type { DecodeOutcome } from "../../src/analyse/fuzz/decode-case.js";

const kept: Uint8Array[] = [];

export async function decodeCase(bytes: Uint8Array): Promise<DecodeOutcome> {
  switch (bytes.length % 33) {
    case 0:
      for (;;);
    case 1:
      throw new TypeError("an error that nobody caught");
    case 2:
      return { outcome: "truncated", message: "no address", find: "no-address" };
    default:
      kept.push(new Uint8Array(4 << 20).fill(1));
      return { outcome: "bad-value" };
  }
}
