/**
 * Candidates for the end of the device part: EOF, then VMDESCRIPTION.
 *
 * | offset | size | field                                  |
 * |--------|------|----------------------------------------|
 * | -1     | u8   | 0x00 EOF                               |
 * | 0      | u8   | 0x06 VMDESCRIPTION                     |
 * | 1      | be32 | n, bytes of JSON                       |
 * | 5      | n    | JSON, which begins `{"` or `{ "`       |
 *
 * Source: QEMU migration/savevm.c (5.2 to 11.x).
 */
export interface VmDescriptionCandidate {
  /** Index of the byte 0x06 in the window. */
  position: number;
  /** Index of the first character of the JSON. */
  start: number;
  /** Bytes of JSON that the record claims. */
  length: number;
  /** The window holds all of it. */
  complete: boolean;
}

const BRACE = 0x7b;
const CLOSING = 0x7d;
const QUOTE = 0x22;
const SPACE = 0x20;

/**
 * Finds places in a window of bytes where EOF and a VMDESCRIPTION may stand, in order. A place whose text is all in the
 * window must end in `}`. The work is one pass over the bytes.
 * @param from index to begin at
 * @param maxLength texts that claim to be longer are no candidates (default 64 MiB)
 */
export function* findVmDescription(
  bytes: Uint8Array,
  from = 0,
  maxLength = 1 << 26,
): Generator<VmDescriptionCandidate, void, void> {
  for (let brace = bytes.indexOf(BRACE, from + 6); brace >= 0; brace = bytes.indexOf(BRACE, brace + 1)) {
    if (bytes[brace - 6] !== 0 || bytes[brace - 5] !== 0x06) continue;
    const length =
      ((bytes[brace - 4]! << 24) | (bytes[brace - 3]! << 16) | (bytes[brace - 2]! << 8) | bytes[brace - 1]!) >>> 0;
    if (length < 2 || length > maxLength) continue;
    const next = bytes[brace + 1];
    if (next !== undefined && next !== QUOTE && next !== SPACE) continue;
    const complete = brace + length <= bytes.length;
    if (complete && bytes[brace + length - 1] !== CLOSING) continue;
    yield { position: brace - 5, start: brace, length, complete };
  }
}
