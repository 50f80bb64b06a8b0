import { ZlibStreamEncoder } from "../../codec/multifd/index.js";
import { LEVELS_BY_HEADER } from "./recompress.js";

/**
 * Compresses the pages of a channel again as QEMU's zlib does, packet by packet, and compares the payloads. The level
 * is not on the wire; the stream's header names a group, and the payloads decide within it.
 */
export class StreamRecompressor {
  pages = 0;
  private candidates: { encoder: ZlibStreamEncoder; identical: number }[] | undefined;

  constructor(private readonly pageSize: number) {}

  /** Takes the pages of one packet with their original payload. */
  check(pages: Uint8Array, payload: Uint8Array): void {
    const count = pages.length / this.pageSize;
    this.pages += count;
    this.candidates ??= (LEVELS_BY_HEADER[payload[1] ?? -1] ?? []).map((level) => {
      return { encoder: new ZlibStreamEncoder(level, this.pageSize), identical: 0 };
    });
    for (const candidate of this.candidates) {
      const again = candidate.encoder.encode(pages);
      if (again.length === payload.length && again.every((byte, k) => byte === payload[k]))
        candidate.identical += count;
    }
    // One level explains them all; the others go once one is ahead.
    const best = Math.max(...this.candidates.map(({ identical }) => identical));
    this.candidates = this.candidates.filter(({ identical }) => identical === best);
  }

  /** Pages whose payload was encoded identically. */
  get identical(): number {
    return this.candidates?.[0]?.identical ?? 0;
  }

  /** The level that explains the payloads. */
  get levels(): number[] {
    const first = this.candidates?.[0];
    return first === undefined || first.identical === 0 ? [] : [first.encoder.level];
  }
}
