/**
 * The map of the linear memory. Everything that a page needs has a fixed address, so nothing is allocated. Batches are
 * after `SCRATCH_END` and belong to the caller (src/engine/page-memory.ts).
 */

/** For each match length - 3: symbol | extra bits << 16 | extra value << 24. Filled by `init`. */
export const LENGTHS: u32 = 0x0400;
/** Fixed codes of RFC 1951 for literals and lengths (288) and distances (30): code | bits << 16. */
export const FIXED_LITERAL: u32 = 0x0800;
export const FIXED_DISTANCE: u32 = 0x0c80;
/** For each symbol of the inflater: base << 16 | extra bits, literals and specials as in inflate.ts. */
export const LITERAL_RESULTS: u32 = 0x0d00;
export const DISTANCE_RESULTS: u32 = 0x1180;
/** The order in which code lengths of code lengths are sent. */
export const PRECODE_ORDER: u32 = 0x1200;
/** The constant code of code lengths in the fast mode: its lengths (19 bytes) and its codes (code | bits << 16). */
export const FAST_PRECODE_BITS: u32 = 0x1220;
export const FAST_PRECODE: u32 = 0x1240;

/** Symbol frequencies of the page: 288 literals and lengths, 32 distances, u32 each. */
export const LITERAL_FREQUENCY: u32 = 0x1400;
export const DISTANCE_FREQUENCY: u32 = 0x1880;
/** Code lengths, one byte per symbol. The distances follow the literals when a header is written. */
export const LITERAL_BITS: u32 = 0x1900;
export const DISTANCE_BITS: u32 = 0x1a40;
/** Codes of the page: code | bits << 16, u32 each. */
export const LITERAL_CODE: u32 = 0x1b00;
export const DISTANCE_CODE: u32 = 0x1f80;
/** The used symbols, ascending, u16 each: literals and lengths, distances, and lists by rounding loss. */
export const LITERALS_USED: u32 = 0x2000;
export const DISTANCES_USED: u32 = 0x2240;
export const NEXT_IN_BUCKET: u32 = 0x2280;
export const BUCKETS: u32 = 0x2500;
/** Counts by code length (u32 each) and values derived from them. */
export const COUNT: u32 = 0x2580;
export const NEXT_CODE: u32 = 0x25c0;
/** Code lengths as run-length symbols: symbol | extra bits << 8 | extra value << 16, u32 each. */
export const RUNS: u32 = 0x2600;

/** Exact mode: heap, nodes, parents, and the code of code lengths. */
export const HEAP: u32 = 0x2c00;
export const ORDER: u32 = 0x3600;
export const PARENT: u32 = 0x3b00;
export const NODE_BITS: u32 = 0x4000;
export const PRECODE_FREQUENCY: u32 = 0x4300;
export const PRECODE_BITS: u32 = 0x4380;
export const PRECODE_CODE: u32 = 0x4400;
export const CODE_LENGTHS_USED: u32 = 0x4480;
export const PREVIOUS: u32 = 0x4600;

/** Matches of the page, u32 each: literals before << 20 | distance << 8 | length - 3. */
export const SEQUENCES: u32 = 0x6600;
/** Hash heads: epoch << 12 | position, u16 each. 4,096 in the fast modes, 32,768 in the exact mode. */
export const FAST_HEADS: u32 = 0x8800;
export const EXACT_HEADS: u32 = 0x10000;

/** Inflater: decoding tables (u32 entries) of the page and of the fixed codes, code lengths, sorted symbols. */
export const LITERAL_TABLE: u32 = 0x20000;
export const DISTANCE_TABLE: u32 = 0x26000;
export const FIXED_LITERAL_TABLE: u32 = 0x29000;
export const FIXED_DISTANCE_TABLE: u32 = 0x2b000;
export const PRECODE_TABLE: u32 = 0x2c000;
export const CODE_LENGTHS: u32 = 0x2c400;
export const SORTED: u32 = 0x2c600;
/** Counts and positions by code length, u32 each: of the first half of the symbols and of the second. */
export const FIRST_HALF: u32 = 0x2c900;
export const SECOND_HALF: u32 = 0x2c940;

/** For each distance 1 to 15 a row of the sixteen bytes i % distance; in row 0 16 - 16 % distance. Filled by `init`. */
export const PERIODS: u32 = 0x2ca00;

/** LZMA: what is kept between calls (u32 each), and probabilities of 0 in 2048ths (u16 each). */
export const LZMA_STATE: u32 = 0x2d000;
/** By state and position (12 x 16), by state (12), by state and position. */
export const IS_MATCH: u32 = 0x2d040;
export const IS_REPEATED: u32 = 0x2d1c0;
export const IS_OTHER_THAN_0: u32 = 0x2d1e0;
export const IS_OTHER_THAN_1: u32 = 0x2d200;
export const IS_OTHER_THAN_2: u32 = 0x2d220;
export const IS_LONG: u32 = 0x2d240;
/** Trees: distance slots by length (4 x 64), bits of middle distances, low bits of far ones. */
export const SLOTS: u32 = 0x2d3c0;
export const MIDDLE_BITS: u32 = 0x2d5c0;
export const LOW_BITS: u32 = 0x2d6c0;
/** Lengths of matches: two choices, two trees of 8 by position, a tree of 256; the same of repeated distances. */
export const MATCH_LENGTHS: u32 = 0x2d700;
export const REPEATED_LENGTHS: u32 = 0x2db40;
/** Literals: 0x300 by context, of which there are at most 16. */
export const LITERAL_CONTEXTS: u32 = 0x2df80;
export const LZMA_END: u32 = 0x33f80;
/** Eight tables of 256 for the checksum that was begun last. */
export const CRC_TABLES: u32 = 0x34000;

/** A stream of pages: hash heads, addresses (2,048 of u32); for each match length - 3: its code with extra bits | bits << 24. */
export const PAGE_HEADS: u32 = 0x38000;
export const LENGTH_CODES: u32 = 0x3a000;

/** First byte that belongs to the caller. */
export const SCRATCH_END: u32 = 0x3a400;
