import { QevmError } from "../../bytes/errors.js";

/**
 * XBZRLE: a page as its difference from what the same page held before (QEMU migration/xbzrle.c, 1.2 to 11.1).
 *
 * ```
 * payload := pair*
 * pair    := zrun nzrun literal[nzrun]
 * zrun    := uleb14     bytes that stay as they are; 0 only in the first pair
 * nzrun   := uleb14     1 or more bytes that follow as they are now (not XORed)
 * uleb14  := 0xxxxxxx | 1xxxxxxx 0xxxxxxx   (low seven bits first, 0 to 16,383)
 * ```
 *
 * What follows the last pair stays as it is. QEMU writes maximal runs and the shortest numbers, so one pair of pages
 * has one encoding; the decoder also takes split runs and two-byte forms of small numbers, as QEMU's does.
 */

/** The largest run that a number on the wire can hold. */
const MAX_RUN = 0x3fff;

/** What {@link encodeXbzrle} returns where QEMU would send the whole page instead. */
export const XBZRLE_OVERFLOW = -1;

/**
 * Applies a payload to the page in place and returns the number of bytes of the page that it covers.
 *
 * All of the payload is checked first: when it is refused (`bad-xbzrle`, with the offset `base` + the byte in the
 * payload) the page is untouched.
 * @example
 * const page = new Uint8Array(4096);
 * decodeXbzrle(page, Uint8Array.of(0x10, 0x01, 0x2a)); // 16 bytes stay, one byte becomes 42
 */
export function decodeXbzrle(page: Uint8Array, payload: Uint8Array, base = 0): number {
  const covered = walk(page.length, payload, base, undefined);
  walk(page.length, payload, base, page);
  return covered;
}

/**
 * Writes the difference between two pages of one length into `into` and returns its length in bytes: 0 where the pages
 * are equal, {@link XBZRLE_OVERFLOW} where it does not fit. Pass an `into` of one page to overflow exactly where QEMU
 * does: it wants two free bytes before every number. A run above 16,383 bytes is the error `does-not-fit`.
 * @example
 * const [old, now, into] = [new Uint8Array(4096), new Uint8Array(4096).fill(1, 16, 17), new Uint8Array(4096)];
 * const length = encodeXbzrle(old, now, into);
 * if (length !== XBZRLE_OVERFLOW) console.log(into.subarray(0, length)); // 0x10 0x01 0x01
 */
export function encodeXbzrle(old: Uint8Array, now: Uint8Array, into: Uint8Array): number {
  const size = now.length;
  if (old.length !== size) {
    throw new QevmError("usage", "the two pages differ in length", { expected: `${old.length}`, found: `${size}` });
  }
  let from = 0;
  let at = 0;
  while (from < size) {
    if (at + 2 > into.length) return XBZRLE_OVERFLOW;
    let to = from;
    while (to < size && old[to] === now[to]) to++;
    if (to === size) return at;
    at = putRun(into, at, to - from);
    if (at + 2 > into.length) return XBZRLE_OVERFLOW;
    from = to;
    while (to < size && old[to] !== now[to]) to++;
    at = putRun(into, at, to - from);
    if (at + to - from > into.length) return XBZRLE_OVERFLOW;
    for (let i = from; i < to; i++) into[at++] = now[i]!;
    from = to;
  }
  return at;
}

function putRun(into: Uint8Array, at: number, run: number): number {
  if (run > MAX_RUN)
    throw new QevmError("does-not-fit", `a run of ${run} bytes has no XBZRLE number (limit ${MAX_RUN})`);
  if (run < 0x80) {
    into[at] = run;
    return at + 1;
  }
  into[at] = 0x80 | (run & 0x7f);
  into[at + 1] = run >>> 7;
  return at + 2;
}

/** Goes through the pairs; writes literals where there is a page. */
function walk(size: number, payload: Uint8Array, base: number, page: Uint8Array | undefined): number {
  const end = payload.length;
  let at = 0;
  let to = 0;
  while (at < end) {
    const first = at;
    const zrun = takeRun(payload, at, base, "the unchanged run");
    at += runLength(payload, at);
    if (zrun === 0 && first > 0) throw refuse(base + first, "an unchanged run of 0 bytes after the first pair");
    to += zrun;
    if (to > size) throw refuse(base + first, `an unchanged run ends outside the page`, `${size} bytes`, `${to}`);

    const second = at;
    const nzrun = takeRun(payload, at, base, "the changed run");
    at += runLength(payload, at);
    if (nzrun === 0) throw refuse(base + second, "a changed run of 0 bytes");
    if (to + nzrun > size) {
      throw refuse(base + second, "a changed run ends outside the page", `${size} bytes`, `${to + nzrun}`);
    }
    if (at + nzrun > end) {
      throw refuse(base + second, "the payload ends inside a changed run", `${nzrun} bytes`, `${end - at}`);
    }
    if (page !== undefined) for (let i = 0; i < nzrun; i++) page[to + i] = payload[at + i]!;
    to += nzrun;
    at += nzrun;
  }
  return to;
}

/** The number at `at`. QEMU wants two bytes to be left even where one would do: no valid payload ends with a number. */
function takeRun(payload: Uint8Array, at: number, base: number, what: string): number {
  if (payload.length - at < 2) throw refuse(base + at, `the payload ends inside ${what}`);
  const low = payload[at]!;
  if (low < 0x80) return low;
  const high = payload[at + 1]!;
  if (high >= 0x80) throw refuse(base + at, `${what} is a number of more than 14 bits`);
  return (low & 0x7f) | (high << 7);
}

function runLength(payload: Uint8Array, at: number): number {
  return payload[at]! < 0x80 ? 1 : 2;
}

function refuse(offset: number, what: string, expected?: string, found?: string): QevmError {
  return new QevmError("bad-xbzrle", what, { offset, expected, found });
}
