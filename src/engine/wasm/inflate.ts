import { adler32 } from "./adler";
import { reverse } from "./canonical";
import { copy16 } from "./copies";
import { buildTable, DISTANCE_TABLE_BITS, LITERAL_TABLE_BITS, SPECIAL } from "./inflate-tables";
import {
  CODE_LENGTHS,
  COUNT,
  DISTANCE_RESULTS,
  DISTANCE_TABLE,
  FIXED_DISTANCE_TABLE,
  FIXED_LITERAL_TABLE,
  LITERAL_RESULTS,
  LITERAL_TABLE,
  PRECODE_BITS,
  PRECODE_ORDER,
  PRECODE_TABLE,
} from "./memory";

/** Minimum size of a zlib stream: a header, a block and a checksum. */
const LEAST: u32 = 8;
const LITERAL: u32 = 0x80000000;
const END_OF_BLOCK: u32 = 0xc000;
/** Symbols of the code of code lengths. */
const PRECODES: u32 = 19;

/** Input state between blocks: bits read but not used, and the address of the next ones. */
let buffer: u64 = 0;
let count: u32 = 0;
let next: u32 = 0;

/**
 * Inflates one zlib stream of exactly `length` bytes at `data` to exactly `size` bytes at `out`, checksum included.
 * False for anything else, without a reason.
 *
 * Reads up to 64 bytes past the stream and writes up to 300 past the page; the batch has that space. A stream decoded
 * from bytes past its end is refused at the end, because more was consumed than it had.
 */
export function inflatePage(data: u32, length: u32, out: u32, size: u32): bool {
  if (length < LEAST) return false;
  const header = ((load<u8>(data) as u32) << 8) | (load<u8>(data + 1) as u32);
  // Deflate, a window of up to 32 KiB, no preset dictionary, header check.
  if ((header & 0x0f20) != 0x0800 || header >> 12 > 7 || header % 31 != 0) return false;
  const end = data + length - 4;
  const stop = out + size;
  let to = out;
  buffer = 0;
  count = 0;
  next = data + 2;
  let last: u32 = 0;
  do {
    refill();
    if (next > end + 8) return false;
    last = (buffer & 1) as u32;
    const type = ((buffer >> 1) & 3) as u32;
    drop(3);
    if (type == 0) to = storedBlock(end, to, stop);
    else if (type == 1) to = codedBlock(end, out, to, stop, FIXED_LITERAL_TABLE, FIXED_DISTANCE_TABLE);
    else if (type == 2 && readCodes(end)) to = codedBlock(end, out, to, stop, LITERAL_TABLE, DISTANCE_TABLE);
    else return false;
    if (to == 0) return false;
  } while (last == 0);
  if (to != stop || next - (count >> 3) != end) return false;
  return bswap<u32>(load<u32>(end)) == adler32(out, size);
}

/**
 * Inflates the next part of a deflate stream that goes on, `length` bytes at `data` that end at a flush (Z_SYNC_FLUSH),
 * to exactly `size` bytes at `out`; the `history` bytes before them, at most 32 KiB, may be referred to. False for
 * anything else, as a stream that ends. Reads and writes past the ends as {@link inflatePage}.
 */
export function inflatePart(data: u32, length: u32, out: u32, size: u32, history: u32): bool {
  const end = data + length;
  const stop = out + size;
  const start = out - history;
  let to = out;
  buffer = 0;
  count = 0;
  next = data;
  while (next - (count >> 3) < end) {
    refill();
    if (next > end + 8) return false;
    const kind = (buffer & 7) as u32;
    drop(3);
    if (kind == 0) to = storedBlock(end, to, stop);
    else if (kind == 2) to = codedBlock(end, start, to, stop, FIXED_LITERAL_TABLE, FIXED_DISTANCE_TABLE);
    else if (kind == 4 && readCodes(end)) to = codedBlock(end, start, to, stop, LITERAL_TABLE, DISTANCE_TABLE);
    else return false;
    if (to == 0) return false;
  }
  // A flush ends with a stored block, at a whole byte.
  return to == stop && next == end && count == 0;
}

/**
 * Ensures at least 56 bits in `buffer`. Bits above `count` are zero or already right: the same bits are or-ed in again.
 */
function refill(): void {
  buffer |= load<u64>(next) << count;
  next += (63 - count) >> 3;
  count |= 56;
}

function drop(bits: u32): void {
  buffer >>= bits;
  count -= bits;
}

/** Copies a stored block. Returns 0 where it is damaged or does not fit. */
function storedBlock(end: u32, to: u32, stop: u32): u32 {
  const at = next - (count >> 3);
  if (at + 4 > end) return 0;
  const length = load<u16>(at) as u32;
  if ((length ^ 0xffff) != (load<u16>(at + 2) as u32)) return 0;
  if (length > end - at - 4 || length > stop - to) return 0;
  memory.copy(to, at + 4, length);
  buffer = 0;
  count = 0;
  next = at + 4 + length;
  return to + length;
}

/** Reads the codes of a dynamic block and builds their tables. */
function readCodes(end: u32): bool {
  refill();
  const literals: u32 = 257 + ((buffer & 31) as u32);
  const distances: u32 = 1 + (((buffer >> 5) & 31) as u32);
  const precodes: u32 = 4 + (((buffer >> 10) & 15) as u32);
  drop(14);
  if (literals > 286 || distances > 30) return false;
  store<u64>(PRECODE_BITS, 0);
  store<u64>(PRECODE_BITS + 8, 0);
  store<u32>(PRECODE_BITS + 16, 0);
  for (let i: u32 = 0; i < precodes; i++) {
    if (count < 3) refill();
    store<u8>(PRECODE_BITS + (load<u8>(PRECODE_ORDER + i) as u32), buffer & 7);
    drop(3);
  }
  if (!buildPrecode()) return false;

  const all = literals + distances;
  let at: u32 = 0;
  while (at < all) {
    if (count < 14) {
      refill();
      if (next > end + 8) return false;
    }
    const entry = load<u16>(PRECODE_TABLE + ((buffer & 127) as u32) * 2) as u32;
    drop(entry & 0xff);
    const symbol = entry >> 8;
    if (symbol < 16) {
      store<u8>(CODE_LENGTHS + at, symbol);
      at++;
      continue;
    }
    let value: u32 = 0;
    let run: u32;
    if (symbol == 16) {
      if (at == 0) return false;
      value = load<u8>(CODE_LENGTHS + at - 1) as u32;
      run = 3 + ((buffer & 3) as u32);
      drop(2);
    } else if (symbol == 17) {
      run = 3 + ((buffer & 7) as u32);
      drop(3);
    } else {
      run = 11 + ((buffer & 127) as u32);
      drop(7);
    }
    if (at + run > all) return false;
    const eight = (value as u64) * 0x0101010101010101;
    const to = at + run;
    // Writes up to seven extra bytes; the next lengths overwrite them.
    for (; at < to; at += 8) store<u64>(CODE_LENGTHS + at, eight);
    at = to;
  }
  if (load<u8>(CODE_LENGTHS + 256) == 0) return false;
  return (
    buildTable(CODE_LENGTHS, literals, LITERAL_RESULTS, LITERAL_TABLE, LITERAL_TABLE_BITS, false) &&
    buildTable(CODE_LENGTHS + literals, distances, DISTANCE_RESULTS, DISTANCE_TABLE, DISTANCE_TABLE_BITS, true)
  );
}

/** The 128 entries `symbol << 8 | bits` of the code of code lengths. */
function buildPrecode(): bool {
  memory.fill(COUNT, 0, 32);
  for (let s: u32 = 0; s < PRECODES; s++) {
    const at = COUNT + (load<u8>(PRECODE_BITS + s) as u32) * 4;
    store<u32>(at, load<u32>(at) + 1);
  }
  // Canonical codes and the used code space, both in 128ths.
  let space: u32 = 0;
  for (let length: u32 = 1; length <= 7; length++) {
    const at = COUNT + length * 4;
    const symbols = load<u32>(at);
    store<u32>(at, space);
    space += symbols * (128 >> length);
  }
  if (space != 128) return false;
  for (let s: u32 = 0; s < PRECODES; s++) {
    const length = load<u8>(PRECODE_BITS + s) as u32;
    if (length == 0) continue;
    const at = COUNT + length * 4;
    const code = load<u32>(at);
    store<u32>(at, code + (128 >> length));
    const entry = (s << 8) | length;
    for (let i = reverse(code, 7); i < 128; i += 1 << length) store<u16>(PRECODE_TABLE + i * 2, entry);
  }
  return true;
}

/**
 * Decodes one block of symbols to `to`, the page being [`start`, `stop`). Returns the end of the output, 0 on damage.
 *
 * One round reads up to two literals and the next symbol, with one or two refills. The ends of the input and the page
 * are checked once per round.
 */
function codedBlock(end: u32, start: u32, to: u32, stop: u32, literalTable: u32, distanceTable: u32): u32 {
  let bits = buffer;
  let n = count;
  let from = next;
  let out = to;
  const limit = end + 8;
  const literalMask: u64 = (1 << LITERAL_TABLE_BITS) - 1;
  const distanceMask: u64 = (1 << DISTANCE_TABLE_BITS) - 1;
  while (true) {
    if (out > stop || from > limit) return 0;
    bits |= load<u64>(from) << n;
    from += (63 - n) >> 3;
    n |= 56;
    let entry = load<u32>(literalTable + ((bits & literalMask) as u32) * 4);
    if ((entry & LITERAL) != 0) {
      bits >>= entry as u64;
      n -= entry & 63;
      store<u8>(out, entry >> 16);
      out++;
      entry = load<u32>(literalTable + ((bits & literalMask) as u32) * 4);
      if ((entry & LITERAL) != 0) {
        bits >>= entry as u64;
        n -= entry & 63;
        store<u8>(out, entry >> 16);
        out++;
        entry = load<u32>(literalTable + ((bits & literalMask) as u32) * 4);
        if ((entry & LITERAL) != 0) {
          bits >>= entry as u64;
          n -= entry & 63;
          store<u8>(out, entry >> 16);
          out++;
          continue;
        }
      }
      bits |= load<u64>(from) << n;
      from += (63 - n) >> 3;
      n |= 56;
    }
    if ((entry & SPECIAL) != 0) {
      if ((entry & END_OF_BLOCK) != END_OF_BLOCK) {
        bits >>= LITERAL_TABLE_BITS;
        n -= LITERAL_TABLE_BITS;
        const index = (entry >> 16) + ((bits & ((1 << ((entry >> 8) & 15)) - 1)) as u32);
        entry = load<u32>(literalTable + index * 4);
        if ((entry & LITERAL) != 0) {
          bits >>= entry as u64;
          n -= entry & 63;
          store<u8>(out, entry >> 16);
          out++;
          continue;
        }
      }
      if ((entry & SPECIAL) != 0) {
        bits >>= entry as u64;
        n -= entry & 63;
        if ((entry & 0x2000) != 0 || out > stop) return 0;
        buffer = bits;
        count = n;
        next = from;
        return out;
      }
    }
    const length =
      ((entry >> 16) & 0x7fff) + (((bits & (((1 as u64) << (entry & 63)) - 1)) >> ((entry >> 8) & 63)) as u32);
    bits >>= entry as u64;
    n -= entry & 63;

    // At least 36 bits are left, and a distance takes up to 28.
    entry = load<u32>(distanceTable + ((bits & distanceMask) as u32) * 4);
    if ((entry & SPECIAL) != 0) {
      if ((entry & END_OF_BLOCK) == END_OF_BLOCK) return 0;
      bits >>= DISTANCE_TABLE_BITS;
      n -= DISTANCE_TABLE_BITS;
      const index = (entry >> 16) + ((bits & ((1 << ((entry >> 8) & 15)) - 1)) as u32);
      entry = load<u32>(distanceTable + index * 4);
      if ((entry & SPECIAL) != 0) return 0;
    }
    const distance = (entry >> 16) + (((bits & (((1 as u64) << (entry & 63)) - 1)) >> ((entry >> 8) & 63)) as u32);
    bits >>= entry as u64;
    n -= entry & 63;
    if (distance > out - start) return 0;

    out = copyMatch(out, distance, length);
  }
}

/**
 * Copies a match to `out` and returns its end. Up to 31 extra bytes are written. Most matches are short, so a fixed
 * number of bytes is copied first without a branch.
 */
function copyMatch(out: u32, distance: u32, length: u32): u32 {
  let source = out - distance;
  const done = out + length;
  if (distance >= 16) {
    copy16(out, source);
    copy16(out + 16, source + 16);
    while (out + 32 < done) {
      out += 32;
      source += 32;
      copy16(out, source);
      copy16(out + 16, source + 16);
    }
  } else if (distance >= 8) {
    do {
      store<u64>(out, load<u64>(source));
      out += 8;
      source += 8;
    } while (out < done);
  } else if (distance == 1) {
    const same = (load<u8>(source) as u64) * 0x0101010101010101;
    do {
      store<u64>(out, same);
      store<u64>(out + 8, same);
      out += 16;
    } while (out < done);
  } else {
    // Each step repeats the output of the previous one.
    do {
      store<u64>(out, load<u64>(source));
      out += distance;
      source += distance;
    } while (out < done);
  }
  return done;
}
