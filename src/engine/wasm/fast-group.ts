import { assignCodes, listUsed } from "./canonical";
import { bitBuffer, bitCount, bitOut, continueBits, putEnd, putFlush, putStored, startBits } from "./encode";
import { putFastHeader } from "./fast-header";
import { forgetPages, putPage } from "./fast-page";
import { logCode } from "./log-code";
import {
  DISTANCE_BITS,
  DISTANCE_CODE,
  DISTANCE_FREQUENCY,
  DISTANCES_USED,
  LENGTH_CODES,
  LENGTHS,
  LITERAL_BITS,
  LITERAL_CODE,
  LITERAL_FREQUENCY,
  LITERALS_USED,
} from "./memory";

/** Most pages of a block: their codes are built and sent once. */
const GROUP: u32 = 32;
const LITERALS: u32 = 286;
const DISTANCES: u32 = 30;
/** Bytes by which a stored page is longer than its data, without the end of the block before. */
const STORED_OVERHEAD: u32 = 5;

/** Pages of the stream so far. */
let seen: u32 = 0;

/**
 * Compresses `count` pages side by side to the next blocks of the instance's deflate stream, which goes on, and flushes
 * it. `out` is a byte boundary. Pages refer to those before them of the same call. Returns the address after the blocks.
 *
 * A block's codes are made of what was counted in the blocks before it, so that each page is read once. The first
 * blocks are short, so that the codes are soon those of such pages.
 */
export function deflateBlocks(pages: u32, length: u32, count: u32, out: u32): u32 {
  startBits(out);
  forgetPages();
  const end = pages + count * length;
  for (let first = pages; first < end;) {
    const group = max<u32>(1, min(seen, GROUP));
    const next = min(first + group * length, end);
    makeCodes();
    putGroup(first, next, length);
    seen += (next - first) / length;
    first = next;
  }
  return putFlush();
}

/** The pages of a group; one that does not compress is stored, and a block begins after it. */
function putGroup(first: u32, end: u32, length: u32): void {
  let open = false;
  for (let page = first; page < end; page += length) {
    const buffer = bitBuffer;
    const count = bitCount;
    const out = bitOut;
    if (!open) putHeader();
    if (putPage(page, length) && bitOut - out <= length + STORED_OVERHEAD) {
      open = true;
      continue;
    }
    continueBits(buffer, count, out);
    if (open) putEnd(LITERAL_CODE);
    putStored(page, length, 0);
    open = false;
  }
  if (open) putEnd(LITERAL_CODE);
}

/** Codes for all symbols, by what was counted so far; the older, the less it counts. */
function makeCodes(): void {
  age(LITERAL_FREQUENCY, LITERALS);
  age(DISTANCE_FREQUENCY, DISTANCES);
  const literals = listUsed(LITERAL_FREQUENCY, LITERALS, LITERALS_USED);
  logCode(LITERALS_USED, literals, LITERAL_FREQUENCY, LITERAL_BITS);
  assignCodes(LITERALS_USED, literals, LITERAL_BITS, LITERAL_CODE);
  const distances = listUsed(DISTANCE_FREQUENCY, DISTANCES, DISTANCES_USED);
  logCode(DISTANCES_USED, distances, DISTANCE_FREQUENCY, DISTANCE_BITS);
  assignCodes(DISTANCES_USED, distances, DISTANCE_BITS, DISTANCE_CODE);
  for (let at: u32 = 0; at < 1024; at += 4) {
    const entry = load<u32>(LENGTHS + at);
    const code = load<u32>(LITERAL_CODE + (entry & 0xffff) * 4);
    const bits = code >> 16;
    const extra = (entry >> 16) & 0xff;
    store<u32>(LENGTH_CODES + at, (code & 0xffff) | ((entry >> 24) << bits) | ((bits + extra) << 24));
  }
}

/** Halves counts; none is 0 then, so that every symbol has a code. */
function age(frequency: u32, symbols: u32): void {
  for (let at = frequency; at < frequency + symbols * 4; at += 4) store<u32>(at, (load<u32>(at) >> 1) + 1);
}

function putHeader(): void {
  const literals = LITERALS_USED + LITERALS * 2;
  const distances = DISTANCES_USED + DISTANCES * 2;
  putFastHeader(LITERALS_USED, literals, LITERAL_BITS, DISTANCES_USED, distances, DISTANCE_BITS, 0);
}
