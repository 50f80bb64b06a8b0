// A decoder of zstd's compressed blocks (RFC 8878), in two stages that may be in two threads: what a block says
// (`unzstdRead`), and doing it (unzstd-execute.ts).
import { buildStates } from "./unzstd-fse";
import { readLiterals } from "./unzstd-literals";
import {
  BLOCK,
  COUNTS,
  CURRENT,
  DAMAGED,
  FIRST,
  HAS_TREE,
  HASHED,
  JOB_LENGTH,
  JOB_LITERALS,
  JOB_LITERALS_LENGTH,
  JOB_OWN_LITERALS,
  JOB_SEQUENCES,
  JOB_SEQUENCES_END,
  LITERAL_BASES,
  LITERAL_DEFAULT,
  MASKS,
  MATCH_BASES,
  MATCH_DEFAULT,
  MOST,
  NO_TREE,
  OFFSET_BASES,
  OFFSET_DEFAULT,
  OFFSETS_1,
  OFFSETS_2,
  OFFSETS_3,
  OLDER,
  OUT,
  RING,
  RING_END,
  WEIGHT_BASES,
  WINDOW,
} from "./unzstd-memory";
import { readSequences } from "./unzstd-sequences";
import { hashBegin } from "./xxh64";
import {
  LITERAL_SHARES_1,
  LITERAL_SHARES_2,
  MATCH_SHARES_1,
  MATCH_SHARES_2,
  MATCH_SHARES_3,
  OFFSET_SHARES_1,
  OFFSET_SHARES_2,
} from "./zstd-codes";

/** Fills the constant tables of a workspace. Called once, first. */
export function unzstdInit(work: u32): void {
  for (let n: u32 = 0; n < 32; n++) {
    store<u32>(work + MASKS + n * 4, (1 << n) - 1);
    store<u64>(work + OFFSET_BASES + n * 8, ((1 as u64) << (n as u64)) | ((n as u64) << 56));
  }
  for (let n: u32 = 0; n < 13; n++) store<u64>(work + WEIGHT_BASES + n * 8, n);
  // Base values and extra bits of appendix A.
  let base: u32 = 0;
  for (let n: u32 = 0; n < 36; n++) {
    const bits: u32 = n < 16 ? 0 : n < 20 ? 1 : n < 22 ? 2 : n < 24 ? 3 : n == 24 ? 4 : n - 19;
    store<u64>(work + LITERAL_BASES + n * 8, (base as u64) | ((bits as u64) << 56));
    base += 1 << bits;
  }
  base = 0;
  for (let n: u32 = 0; n < 53; n++) {
    const bits: u32 = n < 32 ? 0 : n < 36 ? 1 : n < 38 ? 2 : n < 42 ? n / 2 - 16 : n == 42 ? 5 : n - 36;
    store<u64>(work + MATCH_BASES + n * 8, (base as u64) | ((bits as u64) << 56));
    base += 1 << bits;
  }
  shares(work, LITERAL_SHARES_1, LITERAL_SHARES_2, 0);
  buildStates(work, work + LITERAL_DEFAULT, 36, 6, work + LITERAL_BASES);
  shares(work, MATCH_SHARES_1, MATCH_SHARES_2, MATCH_SHARES_3);
  buildStates(work, work + MATCH_DEFAULT, 53, 6, work + MATCH_BASES);
  shares(work, OFFSET_SHARES_1, OFFSET_SHARES_2, 0);
  buildStates(work, work + OFFSET_DEFAULT, 29, 5, work + OFFSET_BASES);
}

/** The predefined probabilities: a digit each from the lowest one, plus one. */
function shares(work: u32, first: u64, second: u64, third: u64): void {
  for (let s: u32 = 0; s < 53; s++) {
    const word = s < 16 ? first : s < 32 ? second : s < 48 ? third : 0;
    const share = (((word >> (((s & 15) * 4) as u64)) as i32) & 15) - 1;
    store<i16>(work + COUNTS + s * 2, share as i16);
  }
}

/**
 * Begins a frame whose content goes to the ring at `ring` of `size` bytes: at least the window and a block. Up to 32
 * bytes are written after the ring.
 */
export function unzstdBegin(work: u32, window: u32, ring: u32, size: u32, hashed: bool): void {
  memory.fill(work + CURRENT, 0, 24);
  store<u32>(work + HAS_TREE, 0);
  store<u32>(work + MOST, min(window, BLOCK));
  store<u32>(work + WINDOW, window);
  store<u32>(work + OFFSETS_1, 1);
  store<u32>(work + OFFSETS_2, 4);
  store<u32>(work + OFFSETS_3, 8);
  store<u32>(work + RING, ring);
  store<u32>(work + RING_END, ring + size);
  store<u32>(work + OUT, ring);
  store<u32>(work + FIRST, ring);
  store<u32>(work + OLDER, 0);
  store<u32>(work + HASHED, hashed ? 1 : 0);
  if (hashed) hashBegin(work);
}

/**
 * First stage: reads the block of `length` bytes at `from`, with its header, into a job. Reads up to 16 bytes after it,
 * and 64 KiB before it. The job refers to the block's bytes. Returns 0, or an error.
 */
export function unzstdRead(work: u32, job: u32, from: u32, length: u32): u32 {
  const most = load<u32>(work + MOST);
  const header = load<u32>(from) & 0xffffff;
  const kind = (header >> 1) & 3;
  const size = header >> 3;
  const content = from + 3;
  if (kind == 2) {
    if (size > most) return DAMAGED;
    const next = readLiterals(work, job, content, from + length);
    if (next < 2) return next == 0 ? DAMAGED : NO_TREE;
    return readSequences(work, job, next, from + length, most) ? 0 : DAMAGED;
  }
  if (kind == 3 || size > most) return DAMAGED;
  if (kind == 1) memory.fill(job + JOB_OWN_LITERALS, load<u8>(content), size);
  store<u32>(job + JOB_LITERALS, kind == 1 ? job + JOB_OWN_LITERALS : content);
  store<u32>(job + JOB_LITERALS_LENGTH, size);
  store<u32>(job + JOB_SEQUENCES_END, job + JOB_SEQUENCES);
  store<u32>(job + JOB_LENGTH, size);
  return 0;
}

/** Bytes that a job gives. */
export function unzstdLength(job: u32): u32 {
  return load<u32>(job + JOB_LENGTH);
}
