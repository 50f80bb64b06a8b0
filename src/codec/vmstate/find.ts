/**
 * Candidates for the end of the device part: EOF, then VMDESCRIPTION.
 *
 * | offset | size | field                                  |
 * |--------|------|----------------------------------------|
 * | -1     | u8   | 0x00 EOF                               |
 * | 0      | u8   | 0x06 VMDESCRIPTION                     |
 * | 1      | be32 | n, bytes of JSON                       |
 * | 5      | n    | JSON, which begins `{"` or `{ "` and the name of one of its members |
 *
 * Source: QEMU migration/savevm.c (5.2 to 11.x).
 */
export interface VmDescriptionCandidate {
  /** Index of the byte 0x06 in the window. */
  position: number;
  /** Index of the first character of the JSON. */
  start: number;
  /** Stated length of the JSON in bytes. */
  length: number;
  /** The window contains all of it. */
  complete: boolean;
}

const BRACE = 0x7b;
const CLOSING = 0x7d;
const SPACE = 0x20;
/** The text after the opening brace begins with one of these. */
const MEMBERS = ["page_size", "configuration", "devices"].map((name) =>
  Array.from(`"${name}"`, (c) => c.charCodeAt(0)),
);

/**
 * Maximum candidates tried in one window. False candidates are rare, and trying one costs time in proportion to its
 * text.
 */
const MOST_TRIED = 64;

/**
 * Finds positions in a window of bytes where EOF and a VMDESCRIPTION may be, in order. A candidate whose text is
 * complete in the window must end in `}`. Takes one pass over the bytes.
 * @param from index to begin at
 * @param maxLength texts that state a greater length are ignored (default 64 MiB)
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
    if (!beginsAsOne(bytes, brace + 1)) continue;
    const complete = brace + length <= bytes.length;
    if (complete && bytes[brace + length - 1] !== CLOSING) continue;
    yield { position: brace - 5, start: brace, length, complete };
  }
}

/** Whether the bytes after a brace, as far as the window has them, begin a description. */
function beginsAsOne(bytes: Uint8Array, from: number): boolean {
  const at = bytes[from] === SPACE ? from + 1 : from;
  return MEMBERS.some((member) => member.every((byte, k) => at + k >= bytes.length || bytes[at + k] === byte));
}

/**
 * The candidates of a window that are tried: complete, of at most `maxLength` characters, and limited in number ({@link
 * MOST_TRIED}) and total size (twice the window; the last one may exceed it).
 * @param last true: the last candidates, from the end backwards
 */
export function* triedVmDescriptions(
  bytes: Uint8Array,
  maxLength?: number,
  last = false,
): Generator<VmDescriptionCandidate, void, void> {
  let tried = 0;
  let left = 2 * bytes.length;
  for (const candidate of last ? lastCandidates(bytes, maxLength) : findVmDescription(bytes, 0, maxLength)) {
    if (!candidate.complete) continue;
    yield candidate;
    left -= candidate.length;
    if (++tried === MOST_TRIED || left < 0) return;
  }
}

/** The last complete candidates, from the end backwards. */
function lastCandidates(bytes: Uint8Array, maxLength?: number): VmDescriptionCandidate[] {
  const kept: VmDescriptionCandidate[] = [];
  for (const candidate of findVmDescription(bytes, 0, maxLength)) {
    if (!candidate.complete) continue;
    if (kept.length === MOST_TRIED) kept.shift();
    kept.push(candidate);
  }
  return kept.toReversed();
}
