/** Maximum block size (RFC 8878). */
const LARGEST_BLOCK = 1 << 17;
/** A window of 512 KiB, as in QEMU's level 1. */
const FRAME_HEADER = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x48);

/**
 * A zstd stream for the whole channel that stores instead of compressing: raw blocks, and RLE blocks for pages of one
 * repeated byte. Any decoder accepts it. There is no compressor: Node has zstd from version 22 on, and browsers have
 * none.
 */
export class ZstdStreamStore {
  private begun = false;

  constructor(private readonly pageSize = 4096) {}

  /** The payload for whole pages. */
  encode(pages: Uint8Array): Uint8Array {
    const parts: Uint8Array[] = this.begun ? [] : [FRAME_HEADER];
    this.begun = true;
    let raw = 0;
    for (let at = 0; at < pages.length; at += this.pageSize) {
      const page = pages.subarray(at, at + this.pageSize);
      const full = at - raw + this.pageSize > LARGEST_BLOCK;
      const uniform = page.every((byte) => byte === page[0]);
      if ((full || uniform) && at > raw) parts.push(blockHeader(0, at - raw), pages.subarray(raw, at));
      if (full || uniform) raw = at;
      if (!uniform) continue;
      parts.push(blockHeader(1, page.length), page.subarray(0, 1));
      raw = at + this.pageSize;
    }
    if (pages.length > raw) parts.push(blockHeader(0, pages.length - raw), pages.subarray(raw));
    return joined(parts);
  }
}

/** u24 little-endian: not the last block, type, size. */
function blockHeader(type: 0 | 1, size: number): Uint8Array {
  const header = (size << 3) | (type << 1);
  return Uint8Array.of(header, header >> 8, header >> 16);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
