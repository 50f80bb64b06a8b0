import type { PageMemory } from "./page-memory.js";

/** Bytes that are copied at a time where they are elsewhere. */
const PIECE = 1 << 16;

/** CRC-32 or CRC-64 (as in xz) in WebAssembly. An engine computes one at a time: the one that was made last. */
export class Crc {
  private readonly crc32: boolean;
  private value = 0n;
  private copy = 0;

  constructor(
    private readonly memory: PageMemory,
    bits: 32 | 64,
  ) {
    this.crc32 = bits === 32;
    if (this.crc32) memory.exports.crc32Begin();
    else memory.exports.crc64Begin();
  }

  /** Adds bytes; those that are in the engine's memory without a copy. */
  update(bytes: Uint8Array): void {
    if (bytes.buffer === this.memory.bytes.buffer) return this.add(bytes.byteOffset, bytes.length);
    this.copy ||= this.memory.allocate(PIECE);
    for (let at = 0; at < bytes.length; at += PIECE) {
      const piece = bytes.subarray(at, at + PIECE);
      this.memory.bytes.set(piece, this.copy);
      this.add(this.copy, piece.length);
    }
  }

  /** The checksum of all bytes, the lowest byte first. */
  digest(): Uint8Array {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, this.value, true);
    return bytes.subarray(0, this.crc32 ? 4 : 8);
  }

  private add(at: number, length: number): void {
    const { exports } = this.memory;
    this.value = this.crc32
      ? BigInt(exports.crc32(Number(this.value), at, length) >>> 0)
      : BigInt.asUintN(64, exports.crc64(this.value, at, length));
  }
}
