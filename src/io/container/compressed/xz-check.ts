import { Sha256 } from "../../../bytes/sha256.js";
import { Crc } from "../../../engine/crc.js";
import type { Lzma2Decoder } from "../../../engine/lzma2.js";

/** Bytes of each kind of check (.xz file format 1.2.1, section 2.1.1.2). */
export const CHECK_BYTES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64] as const;

/** Kinds of checks that exist. */
const CRC_32 = 1;
const CRC_64 = 4;
const SHA_256 = 10;
export const CHECKS: readonly number[] = [0, CRC_32, CRC_64, SHA_256];

/** A check of a block's plain bytes; undefined for none. */
export function beginCheck(
  kind: number,
  { memory }: Lzma2Decoder,
): { update(bytes: Uint8Array): unknown; digest(): Uint8Array } | undefined {
  if (kind === CRC_32) return new Crc(memory, 32);
  if (kind === CRC_64) return new Crc(memory, 64);
  return kind === SHA_256 ? new Sha256() : undefined;
}
