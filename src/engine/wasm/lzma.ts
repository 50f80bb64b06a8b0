import { repeat } from "./copies";
import {
  BASE,
  CODE,
  DISTANCES,
  FROM,
  KIND,
  LITERAL_BITS,
  LITERAL_MASK,
  NEAREST_TOO_FAR,
  POSITION_MASK,
  RANGE,
  SIZE,
  TOP,
  WRAPPED,
} from "./lzma-state";
import {
  IS_LONG,
  IS_MATCH,
  IS_OTHER_THAN_0,
  IS_OTHER_THAN_1,
  IS_OTHER_THAN_2,
  IS_REPEATED,
  LITERAL_CONTEXTS,
  LOW_BITS,
  LZMA_STATE,
  MATCH_LENGTHS,
  MIDDLE_BITS,
  REPEATED_LENGTHS,
  SLOTS,
} from "./memory";

/** A probability is that of a 0, in 2048ths; each bit moves it by a 32nd of what is left. */
const ONE: u32 = 2048;
const SHIFT: u32 = 5;
/** Bytes of a literal context: 0x300 probabilities. */
const CONTEXT: u32 = 0x600;

/** The probability after a bit: 0 moves it up, 1 down. */
function up(prob: u32): u32 {
  return prob + ((ONE - prob) >>> SHIFT);
}

function down(prob: u32): u32 {
  return prob - (prob >>> SHIFT);
}

/** `up` or `down` without a branch. */
function moved(prob: u32, zero: bool): u32 {
  return prob - ((((prob + select<u32>((1 << SHIFT) - 1 - ONE, 0, zero)) as i32) >> SHIFT) as u32);
}

/**
 * Decodes symbols (LZMA, as the LZMA SDK's specification has it) from where the chunk is to `to`, until `limit` is
 * reached or passed, by 272 bytes at most. Returns the end of the output, less than `limit` where the next symbol is
 * damaged, or needs bytes from `end` on: then {@link lzmaNext} is after `end`. Reads up to 32 bytes there.
 *
 * A bit is decoded by its probability: `bound` is the part of the range that means 0. Which of literal and match comes
 * next is a branch; the bits of values are selected, since the processor could not foretell them. In a tree the
 * probabilities of both next bits are loaded before this one is known. The steps of a bit are written out wherever one
 * is decoded: a function would have to return `range`, `code` and the bit through memory.
 */
export function lzmaDecode(to: u32, limit: u32, end: u32): u32 {
  let from = load<u32>(LZMA_STATE, FROM);
  let range = load<u32>(LZMA_STATE, RANGE);
  let code = load<u32>(LZMA_STATE, CODE);
  let state = load<u32>(LZMA_STATE, KIND);
  let last0 = load<u32>(LZMA_STATE, DISTANCES);
  let last1 = load<u32>(LZMA_STATE, DISTANCES + 4);
  let last2 = load<u32>(LZMA_STATE, DISTANCES + 8);
  let last3 = load<u32>(LZMA_STATE, DISTANCES + 12);
  const base = load<u32>(LZMA_STATE, BASE);
  const size = load<u32>(LZMA_STATE, SIZE);
  const positionMask = load<u32>(LZMA_STATE, POSITION_MASK);
  const literalMask = load<u32>(LZMA_STATE, LITERAL_MASK);
  const literalBits = load<u32>(LZMA_STATE, LITERAL_BITS);
  let out = to;
  let before = to;
  let at: u32 = 0;
  let prob: u32 = 0;
  let bound: u32 = 0;
  let symbol: u32 = 0;
  let zero: bool = false;
  while (out < limit && from <= end) {
    before = out;
    const position = out & positionMask;
    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | (load<u8>(from++) as u32);
    }
    at = IS_MATCH + state * 32 + position * 2;
    prob = load<u16>(at) as u32;
    bound = (range >>> 11) * prob;
    if (code < bound) {
      range = bound;
      store<u16>(at, up(prob));
      const previous = load<u8>(out - 1) as u32;
      const probs =
        LITERAL_CONTEXTS + (((out & literalMask) << literalBits) + (previous >>> (8 - literalBits))) * CONTEXT;
      symbol = 1;
      if (state < 7) {
        state = state < 4 ? 0 : state - 3;
        prob = load<u16>(probs + 2) as u32;
        do {
          if (range < TOP) {
            range <<= 8;
            code = (code << 8) | (load<u8>(from++) as u32);
          }
          at = probs + symbol * 2;
          const after0 = load<u16>(at + symbol * 2) as u32;
          const after1 = load<u16>(at + symbol * 2 + 2) as u32;
          bound = (range >>> 11) * prob;
          zero = code < bound;
          store<u16>(at, moved(prob, zero));
          range = select<u32>(bound, range - bound, zero);
          code = select<u32>(code, code - bound, zero);
          prob = select<u32>(after0, after1, zero);
          symbol = symbol * 2 + 1 - (zero as u32);
        } while (symbol < 0x100);
      } else {
        // As long as the bits are those of the byte at the last distance, that byte's next bit is part of the context.
        state = state < 10 ? state - 3 : state - 6;
        let source = out - last0 - 1;
        if (last0 >= out - base) source += size;
        let byte = load<u8>(source) as u32;
        let same: u32 = 0x100;
        do {
          if (range < TOP) {
            range <<= 8;
            code = (code << 8) | (load<u8>(from++) as u32);
          }
          byte <<= 1;
          const bit = byte & same;
          at = probs + (same + bit + symbol) * 2;
          prob = load<u16>(at) as u32;
          bound = (range >>> 11) * prob;
          zero = code < bound;
          store<u16>(at, moved(prob, zero));
          range = select<u32>(bound, range - bound, zero);
          code = select<u32>(code, code - bound, zero);
          same &= bit ^ (0 - (zero as u32));
          symbol = symbol * 2 + 1 - (zero as u32);
        } while (symbol < 0x100);
      }
      store<u8>(out++, symbol);
      continue;
    }
    range -= bound;
    code -= bound;
    store<u16>(at, down(prob));

    let lengths = MATCH_LENGTHS;
    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | (load<u8>(from++) as u32);
    }
    at = IS_REPEATED + state * 2;
    prob = load<u16>(at) as u32;
    bound = (range >>> 11) * prob;
    if (code < bound) {
      range = bound;
      store<u16>(at, up(prob));
      last3 = last2;
      last2 = last1;
      last1 = last0;
    } else {
      range -= bound;
      code -= bound;
      store<u16>(at, down(prob));
      lengths = REPEATED_LENGTHS;
      if (range < TOP) {
        range <<= 8;
        code = (code << 8) | (load<u8>(from++) as u32);
      }
      at = IS_OTHER_THAN_0 + state * 2;
      prob = load<u16>(at) as u32;
      bound = (range >>> 11) * prob;
      if (code < bound) {
        range = bound;
        store<u16>(at, up(prob));
        if (range < TOP) {
          range <<= 8;
          code = (code << 8) | (load<u8>(from++) as u32);
        }
        at = IS_LONG + state * 32 + position * 2;
        prob = load<u16>(at) as u32;
        bound = (range >>> 11) * prob;
        if (code < bound) {
          range = bound;
          store<u16>(at, up(prob));
          state = state < 7 ? 9 : 11;
          let source = out - last0 - 1;
          if (last0 >= out - base) {
            if (load<u32>(LZMA_STATE, WRAPPED) == 0) break;
            source += size;
          }
          store<u8>(out++, load<u8>(source));
          continue;
        }
        range -= bound;
        code -= bound;
        store<u16>(at, down(prob));
      } else {
        range -= bound;
        code -= bound;
        store<u16>(at, down(prob));
        if (range < TOP) {
          range <<= 8;
          code = (code << 8) | (load<u8>(from++) as u32);
        }
        at = IS_OTHER_THAN_1 + state * 2;
        prob = load<u16>(at) as u32;
        bound = (range >>> 11) * prob;
        let distance = last1;
        if (code < bound) {
          range = bound;
          store<u16>(at, up(prob));
        } else {
          range -= bound;
          code -= bound;
          store<u16>(at, down(prob));
          if (range < TOP) {
            range <<= 8;
            code = (code << 8) | (load<u8>(from++) as u32);
          }
          at = IS_OTHER_THAN_2 + state * 2;
          prob = load<u16>(at) as u32;
          bound = (range >>> 11) * prob;
          distance = last2;
          if (code < bound) {
            range = bound;
            store<u16>(at, up(prob));
          } else {
            range -= bound;
            code -= bound;
            store<u16>(at, down(prob));
            distance = last3;
            last3 = last2;
          }
          last2 = last1;
        }
        last1 = last0;
        last0 = distance;
      }
    }

    // The length: 2 to 9, 10 to 17, or 18 to 273.
    let probs = lengths + 4 + position * 16;
    let leaves: u32 = 8;
    let length: u32 = 2;
    if (range < TOP) {
      range <<= 8;
      code = (code << 8) | (load<u8>(from++) as u32);
    }
    prob = load<u16>(lengths) as u32;
    bound = (range >>> 11) * prob;
    if (code < bound) {
      range = bound;
      store<u16>(lengths, up(prob));
    } else {
      range -= bound;
      code -= bound;
      store<u16>(lengths, down(prob));
      if (range < TOP) {
        range <<= 8;
        code = (code << 8) | (load<u8>(from++) as u32);
      }
      prob = load<u16>(lengths + 2) as u32;
      bound = (range >>> 11) * prob;
      if (code < bound) {
        range = bound;
        store<u16>(lengths + 2, up(prob));
        probs += 128 * 2;
        length = 10;
      } else {
        range -= bound;
        code -= bound;
        store<u16>(lengths + 2, down(prob));
        probs = lengths + 4 + 256 * 2;
        length = 18;
        leaves = 256;
      }
    }
    symbol = 1;
    prob = load<u16>(probs + 2) as u32;
    do {
      if (range < TOP) {
        range <<= 8;
        code = (code << 8) | (load<u8>(from++) as u32);
      }
      at = probs + symbol * 2;
      const after0 = load<u16>(at + symbol * 2) as u32;
      const after1 = load<u16>(at + symbol * 2 + 2) as u32;
      bound = (range >>> 11) * prob;
      zero = code < bound;
      store<u16>(at, moved(prob, zero));
      range = select<u32>(bound, range - bound, zero);
      code = select<u32>(code, code - bound, zero);
      prob = select<u32>(after0, after1, zero);
      symbol = symbol * 2 + 1 - (zero as u32);
    } while (symbol < leaves);
    length += symbol - leaves;

    if (lengths == REPEATED_LENGTHS) {
      state = state < 7 ? 8 : 11;
    } else {
      // The distance: a slot gives its two highest bits and how many follow.
      state = state < 7 ? 7 : 10;
      probs = SLOTS + min<u32>(length - 2, 3) * 128;
      symbol = 1;
      prob = load<u16>(probs + 2) as u32;
      do {
        if (range < TOP) {
          range <<= 8;
          code = (code << 8) | (load<u8>(from++) as u32);
        }
        at = probs + symbol * 2;
        const after0 = load<u16>(at + symbol * 2) as u32;
        const after1 = load<u16>(at + symbol * 2 + 2) as u32;
        bound = (range >>> 11) * prob;
        zero = code < bound;
        store<u16>(at, moved(prob, zero));
        range = select<u32>(bound, range - bound, zero);
        code = select<u32>(code, code - bound, zero);
        prob = select<u32>(after0, after1, zero);
        symbol = symbol * 2 + 1 - (zero as u32);
      } while (symbol < 64);
      const slot = symbol - 64;
      last0 = slot;
      if (slot >= 4) {
        let bits = (slot >>> 1) - 1;
        last0 = 2 | (slot & 1);
        if (slot < 14) {
          last0 <<= bits;
          probs = MIDDLE_BITS + (last0 - slot) * 2;
        } else {
          for (bits -= 4; bits != 0; bits--) {
            if (range < TOP) {
              range <<= 8;
              code = (code << 8) | (load<u8>(from++) as u32);
            }
            range >>>= 1;
            code -= range;
            const negative = ((code as i32) >> 31) as u32;
            code += range & negative;
            last0 = last0 * 2 + 1 + negative;
          }
          last0 <<= 4;
          bits = 4;
          probs = LOW_BITS;
        }
        // The low bits, the lowest first.
        symbol = 1;
        let weight: u32 = 1;
        do {
          if (range < TOP) {
            range <<= 8;
            code = (code << 8) | (load<u8>(from++) as u32);
          }
          at = probs + symbol * 2;
          prob = load<u16>(at) as u32;
          bound = (range >>> 11) * prob;
          zero = code < bound;
          store<u16>(at, moved(prob, zero));
          range = select<u32>(bound, range - bound, zero);
          code = select<u32>(code, code - bound, zero);
          symbol = symbol * 2 + 1 - (zero as u32);
          last0 += select<u32>(0, weight, zero);
          weight <<= 1;
        } while (--bits != 0);
      }
    }

    if (last0 < out - base) {
      if (last0 >= load<u32>(LZMA_STATE, NEAREST_TOO_FAR)) break;
      repeat(out, last0 + 1, length);
      out += length;
      continue;
    }
    // From what was written before the ring began again.
    if (load<u32>(LZMA_STATE, WRAPPED) == 0 || last0 >= load<u32>(LZMA_STATE, NEAREST_TOO_FAR)) break;
    let source = out - last0 - 1 + size;
    for (const done = out + length; out < done; out++) {
      store<u8>(out, load<u8>(source++));
      if (source == base + size) source = base;
    }
  }
  store<u32>(LZMA_STATE, from, FROM);
  store<u32>(LZMA_STATE, range, RANGE);
  store<u32>(LZMA_STATE, code, CODE);
  store<u32>(LZMA_STATE, state, KIND);
  store<u32>(LZMA_STATE, last0, DISTANCES);
  store<u32>(LZMA_STATE, last1, DISTANCES + 4);
  store<u32>(LZMA_STATE, last2, DISTANCES + 8);
  store<u32>(LZMA_STATE, last3, DISTANCES + 12);
  return from > end ? before : out;
}
