import { copy16 } from "./copies";
import {
  FIRST,
  HASHED,
  JOB_LENGTH,
  JOB_LITERALS,
  JOB_LITERALS_LENGTH,
  JOB_SEQUENCES,
  JOB_SEQUENCES_END,
  OFFSETS_1,
  OFFSETS_2,
  OFFSETS_3,
  OLDER,
  OUT,
  RING,
  RING_END,
  TAIL,
  WINDOW,
} from "./unzstd-memory";
import { LEAST, LONG } from "./unzstd-sequences";
import { hashAdd } from "./xxh64";

/**
 * Second stage (RFC 8878 section 3.1.1.4): writes a job's content to the ring, and up to 32 bytes after it. Returns its
 * address, 0 for a match that leads nowhere.
 */
export function unzstdWrite(work: u32, job: u32): u32 {
  const length = load<u32>(job + JOB_LENGTH);
  let out = load<u32>(work + OUT);
  if (length > load<u32>(work + RING_END) - out) {
    store<u32>(work + TAIL, out);
    store<u32>(work + OLDER, out - load<u32>(work + FIRST));
    out = load<u32>(work + RING);
    store<u32>(work + FIRST, out);
  }
  if (!execute(work, job, out, load<u32>(work + FIRST))) return 0;
  store<u32>(work + OUT, out + length);
  if (load<u32>(work + HASHED) != 0) hashAdd(work, out, length);
  return out;
}

/** Writes the content to `out`. Before it are the bytes from `first` on, and before these the older ones. */
function execute(work: u32, job: u32, out: u32, first: u32): bool {
  let literals = load<u32>(job + JOB_LITERALS);
  const literalsEnd = literals + load<u32>(job + JOB_LITERALS_LENGTH);
  const end = load<u32>(job + JOB_SEQUENCES_END);
  let last = load<u32>(work + OFFSETS_1);
  let second = load<u32>(work + OFFSETS_2);
  let third = load<u32>(work + OFFSETS_3);
  for (let at = job + JOB_SEQUENCES; at < end; at += 8) {
    const sequence = load<u64>(at);
    let offset = sequence as u32;
    let count = ((sequence >> 32) as u32) & 0xffff;
    let length = ((sequence >> 48) as u32) + LEAST;
    if (length == LONG + LEAST) {
      at += 8;
      count = load<u32>(at);
      length = load<u32>(at + 4) + LEAST;
    }
    if (offset > 3) {
      offset -= 3;
      third = second;
      second = last;
      last = offset;
    } else {
      if (count == 0) offset++;
      if (offset == 1) {
        offset = last;
      } else {
        if (offset == 2) {
          offset = second;
        } else {
          offset = offset == 3 ? third : last - 1;
          third = second;
        }
        second = last;
        last = offset;
      }
    }
    copy16(out, literals);
    let done = out + count;
    if (count > 16) copyFar(out + 16, literals + 16, done);
    literals += count;
    out = done;
    done += length;
    const before = out - first;
    if (offset <= before && offset >= 16) {
      const from = out - offset;
      copy16(out, from);
      if (length > 16) copyFar(out + 16, from + 16, done);
    } else if (offset > before) {
      if (!matchOlder(work, out, offset, before, length)) return false;
    } else if (!repeat(out, offset, done)) {
      return false;
    }
    out = done;
  }
  store<u32>(work + OFFSETS_1, last);
  store<u32>(work + OFFSETS_2, second);
  store<u32>(work + OFFSETS_3, third);
  const rest = literalsEnd - literals;
  if (rest > 256) memory.copy(out, literals, rest);
  else if (rest != 0) copyFar(out, literals, out + rest);
  return true;
}

/** A match that begins in the older bytes, and may go on in the newer ones, of which there are `before`. */
function matchOlder(work: u32, out: u32, offset: u32, before: u32, length: u32): bool {
  const back = offset - before;
  if (back > load<u32>(work + OLDER) || offset > load<u32>(work + WINDOW)) return false;
  const there = min(back, length);
  memory.copy(out, load<u32>(work + TAIL) - back, there);
  let from = load<u32>(work + FIRST);
  const end = out + length;
  for (out += there; out < end; out++) store<u8>(out, load<u8>(from++));
  return true;
}

/** A match of less than 16 bytes, repeated up to `done`. False where it has none. */
function repeat(out: u32, offset: u32, done: u32): bool {
  if (offset == 0) return false;
  let from = out - offset;
  if (offset == 1) {
    const byte = load<u8>(from);
    if (done - out > 256) {
      memory.fill(out, byte, done - out);
      return true;
    }
    const eight = (byte as u64) * 0x0101010101010101;
    do {
      store<u64>(out, eight);
      store<u64>(out + 8, eight);
      out += 16;
    } while (out < done);
    return true;
  }
  if (offset < 8) {
    // The first steps widen what is repeated to eight bytes or more.
    store<u8>(out, load<u8>(from));
    store<u8>(out + 1, load<u8>(from + 1));
    store<u8>(out + 2, load<u8>(from + 2));
    store<u8>(out + 3, load<u8>(from + 3));
    store<u8>(out + 4, load<u8>(from + 4));
    store<u8>(out + 5, load<u8>(from + 5));
    store<u8>(out + 6, load<u8>(from + 6));
    store<u8>(out + 7, load<u8>(from + 7));
    // The greatest multiple of the offset that is not above eight more than it.
    const wide = ((8 + offset - 1) / offset) * offset;
    out += 8;
    from = out - wide;
  }
  while (out < done) {
    store<u64>(out, load<u64>(from));
    store<u64>(out + 8, load<u64>(from + 8));
    out += 16;
    from += 16;
  }
  return true;
}

/**
 * Like `copyPieces`, up to the address `done` instead of by a length: writes and reads up to 15 bytes more. It is here
 * again because asc inlines it here: calling `copyPieces` took a tenth of a file's time.
 */
function copyFar(out: u32, from: u32, done: u32): void {
  do {
    copy16(out, from);
    out += 16;
    from += 16;
  } while (out < done);
}
