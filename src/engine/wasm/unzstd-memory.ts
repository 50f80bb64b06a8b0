/**
 * The map of a zstd decoder's workspace. A table of a code of sequences (RFC 8878 section 4.1) has eight bytes a state:
 *
 * | bytes  | what                                                |
 * | ------ | --------------------------------------------------- |
 * | 0 to 3 | the symbol's base value                             |
 * | 4, 5   | the least next state, as bytes from the table's start |
 * | 6      | bits that are added to it                           |
 * | 7      | bits that are added to the base value               |
 *
 * A job is one block between the two stages, which may be in two threads.
 */

/**
 * First stage. Current tables: address and bits of a state. Literal lengths, offsets, match lengths, in the order of a
 * block.
 */
export const CURRENT: u32 = 0;
/** Whether there is a tree, for literals without one. */
export const HAS_TREE: u32 = 24;
/** Largest content of a block. Both stages read it, and the window. */
export const MOST: u32 = 28;
export const WINDOW: u32 = 32;

/** Second stage. XXH64 of the frame's content: four sums, the length, and what is not yet a stripe of 32 bytes. */
export const HASH: u32 = 64;
export const HASH_LENGTH: u32 = 96;
export const HASH_REST: u32 = 104;
/** Whether the content is hashed. */
export const HASHED: u32 = 136;
/** The three last offsets, u32 each. */
export const OFFSETS_1: u32 = 140;
export const OFFSETS_2: u32 = 144;
export const OFFSETS_3: u32 = 148;
/** The ring that the content is written to: where it begins and ends. */
export const RING: u32 = 152;
export const RING_END: u32 = 156;
/**
 * The next byte of the content, the first one since the ring began again, and the end of those before and their number.
 */
export const OUT: u32 = 160;
export const FIRST: u32 = 164;
export const TAIL: u32 = 168;
export const OLDER: u32 = 172;

/** Probabilities that are read (i16), and the next number of each symbol while a table is built (u16). */
export const COUNTS: u32 = 0x100;
export const PLACES: u32 = 0x180;
/** Base values and extra bits of each symbol: eight bytes each, as in a table. */
export const LITERAL_BASES: u32 = 0x200;
export const OFFSET_BASES: u32 = 0x400;
export const MATCH_BASES: u32 = 0x500;
/** `(1 << n) - 1` for n of 0 to 31, u32 each. */
export const MASKS: u32 = 0x700;
/** Weights of a Huffman tree, which are their own values. */
export const WEIGHT_BASES: u32 = 0x780;
/** A symbol for each state while a table is built, with what is written too far. */
export const SPREAD: u32 = 0x800;
/** Tables as a block gives them, and the predefined ones. */
export const LITERAL_CODES: u32 = 0xa80;
export const MATCH_CODES: u32 = LITERAL_CODES + 0x1000;
export const OFFSET_CODES: u32 = MATCH_CODES + 0x1000;
export const LITERAL_DEFAULT: u32 = OFFSET_CODES + 0x800;
export const MATCH_DEFAULT: u32 = LITERAL_DEFAULT + 0x200;
export const OFFSET_DEFAULT: u32 = MATCH_DEFAULT + 0x200;
/** Weights of a Huffman tree, a byte each; the table of their code; places by weight. */
export const WEIGHTS: u32 = OFFSET_DEFAULT + 0x100;
export const WEIGHT_CODES: u32 = WEIGHTS + 0x110;
export const RANKS: u32 = WEIGHT_CODES + 0x200;
/** Huffman table: for each 11 bits the code's length and the symbol. */
export const TREE: u32 = (RANKS + 0x40 + 63) & ~63;
/** Bytes of the workspace. */
export const UNZSTD_WORK: u32 = TREE + 0x1000 + 64;

/** Bits that index {@link TREE}: the longest code of literals. */
export const TREE_LOG: u32 = 11;

/** Largest block (section 3.1.1.2.4). */
export const BLOCK: u32 = 1 << 17;

/** A job: literals, their number, end of the sequences, bytes of the block's content, and the places for both. */
export const JOB_LITERALS: u32 = 0;
export const JOB_LITERALS_LENGTH: u32 = 4;
export const JOB_SEQUENCES_END: u32 = 8;
export const JOB_LENGTH: u32 = 12;
export const JOB_OWN_LITERALS: u32 = 64;
export const JOB_SEQUENCES: u32 = JOB_OWN_LITERALS + BLOCK + 64;
/** A sequence has eight bytes and gives at least three; two of a block may have lengths beyond 16 bits (eight more). */
export const UNZSTD_JOB: u32 = JOB_SEQUENCES + (BLOCK / 3 + 8) * 8;

/** Errors, as zstd's library numbers them. */
export const DAMAGED: u32 = 20;
export const NO_TREE: u32 = 30;
