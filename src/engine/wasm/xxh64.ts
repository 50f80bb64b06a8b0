import { HASH, HASH_LENGTH, HASH_REST } from "./unzstd-memory";

const PRIME_1: u64 = 0x9e3779b185ebca87;
const PRIME_2: u64 = 0xc2b2ae3d27d4eb4f;
const PRIME_3: u64 = 0x165667b19e3779f9;
const PRIME_4: u64 = 0x85ebca77c2b2ae63;
const PRIME_5: u64 = 0x27d4eb2f165667c5;
/** Bytes of a stripe. */
const STRIPE: u32 = 32;

/** Begins a hash with seed 0. */
export function hashBegin(work: u32): void {
  store<u64>(work + HASH, PRIME_1 + PRIME_2);
  store<u64>(work + HASH + 8, PRIME_2);
  store<u64>(work + HASH + 16, 0);
  store<u64>(work + HASH + 24, 0 - PRIME_1);
  store<u64>(work + HASH_LENGTH, 0);
}

/** Adds bytes. */
export function hashAdd(work: u32, from: u32, length: u32): void {
  const end = from + length;
  const kept = (load<u64>(work + HASH_LENGTH) as u32) & (STRIPE - 1);
  store<u64>(work + HASH_LENGTH, load<u64>(work + HASH_LENGTH) + (length as u64));
  if (kept != 0) {
    const missing = min(STRIPE - kept, length);
    memory.copy(work + HASH_REST + kept, from, missing);
    if (kept + missing < STRIPE) return;
    from += missing;
    stripes(work, work + HASH_REST, work + HASH_REST + STRIPE);
  }
  const whole = from + ((end - from) & ~(STRIPE - 1));
  stripes(work, from, whole);
  memory.copy(work + HASH_REST, whole, end - whole);
}

function stripes(work: u32, from: u32, end: u32): void {
  let a = load<u64>(work + HASH);
  let b = load<u64>(work + HASH + 8);
  let c = load<u64>(work + HASH + 16);
  let d = load<u64>(work + HASH + 24);
  for (; from < end; from += STRIPE) {
    a = rotl(a + load<u64>(from) * PRIME_2, 31) * PRIME_1;
    b = rotl(b + load<u64>(from + 8) * PRIME_2, 31) * PRIME_1;
    c = rotl(c + load<u64>(from + 16) * PRIME_2, 31) * PRIME_1;
    d = rotl(d + load<u64>(from + 24) * PRIME_2, 31) * PRIME_1;
  }
  store<u64>(work + HASH, a);
  store<u64>(work + HASH + 8, b);
  store<u64>(work + HASH + 16, c);
  store<u64>(work + HASH + 24, d);
}

/** The low half of the hash, which is zstd's checksum (RFC 8878 section 3.1.1). */
export function hashEnd(work: u32): u32 {
  const length = load<u64>(work + HASH_LENGTH);
  let hash = PRIME_5;
  if (length >= STRIPE) {
    const a = load<u64>(work + HASH);
    const b = load<u64>(work + HASH + 8);
    const c = load<u64>(work + HASH + 16);
    const d = load<u64>(work + HASH + 24);
    hash = rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18);
    hash = merged(merged(merged(merged(hash, a), b), c), d);
  }
  hash += length;
  let at = work + HASH_REST;
  const end = at + ((length as u32) & (STRIPE - 1));
  for (; at + 8 <= end; at += 8) {
    hash = rotl(hash ^ (rotl(load<u64>(at) * PRIME_2, 31) * PRIME_1), 27) * PRIME_1 + PRIME_4;
  }
  if (at + 4 <= end) {
    hash = rotl(hash ^ ((load<u32>(at) as u64) * PRIME_1), 23) * PRIME_2 + PRIME_3;
    at += 4;
  }
  for (; at < end; at++) hash = rotl(hash ^ ((load<u8>(at) as u64) * PRIME_5), 11) * PRIME_1;
  hash = (hash ^ (hash >> 33)) * PRIME_2;
  hash = (hash ^ (hash >> 29)) * PRIME_3;
  return (hash ^ (hash >> 32)) as u32;
}

function merged(hash: u64, sum: u64): u64 {
  return (hash ^ (rotl(sum * PRIME_2, 31) * PRIME_1)) * PRIME_1 + PRIME_4;
}
