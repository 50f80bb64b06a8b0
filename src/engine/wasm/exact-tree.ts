// Follows the method of build_tree and gen_bitlen in zlib 1.2.13 (trees.c), so that ties are broken the same way. zlib
// is (C) 1995-2022 Jean-loup Gailly and Mark Adler; see the notice in exact.ts.
import { listUsed } from "./canonical";
import { COUNT, HEAP, NODE_BITS, ORDER, PARENT } from "./memory";

/** Number of nodes of the largest tree, 2 * 286 + 1, which is also the end of the node order. */
const ORDER_END: u32 = 573;

/**
 * A heap entry is `frequency << 15 | depth << 10 | node`. A page has at most 4,097 symbols, so 13 bits hold any sum and
 * a tree over them is less than 32 deep. One comparison replaces zlib's two. The node number is not compared.
 */
const NODE_MASK: u32 = 0x3ff;

/**
 * Optimal code lengths as zlib computes them: Huffman with a heap, then limited to `limit` bits. Frequencies (u32) of
 * `symbols` symbols are at `frequency`. If fewer than two symbols are used, the first unused ones are forced in with no
 * cost, as in zlib. Writes one byte each to `bits` and lists the symbols with a code at `used`. Returns the address
 * after the list.
 */
export function exactCode(frequency: u32, bits: u32, symbols: u32, limit: u32, used: u32): u32 {
  memory.fill(bits, 0, symbols);
  let stop = listUsed(frequency, symbols, used);
  const few = (stop - used) >> 1;
  if (few < 2) {
    const only = few == 0 ? 0 : (load<u16>(used) as u32);
    const forced: u32 = few == 0 || only < 2 ? only + 1 : 0;
    store<u16>(used, min(only, forced));
    store<u16>(used + 2, max(only, forced));
    stop = used + 4;
  }
  let size: u32 = 0;
  for (let at = used; at < stop; at += 2) {
    const s = load<u16>(at) as u32;
    store<u32>(HEAP + ++size * 4, (max(load<u32>(frequency + s * 4), 1) << 15) | s);
  }
  for (let at = size >> 1; at >= 1; at--) siftDown(at, size);

  // Replaces the two least frequent nodes by their parent until one node is left. ORDER lists nodes from the root down.
  let node = symbols;
  let order = ORDER_END;
  do {
    const first = load<u32>(HEAP + 4);
    store<u32>(HEAP + 4, load<u32>(HEAP + size * 4));
    size--;
    siftDown(1, size);
    const second = load<u32>(HEAP + 4);
    const a = first & NODE_MASK;
    const b = second & NODE_MASK;
    store<u16>(ORDER + --order * 2, a);
    store<u16>(ORDER + --order * 2, b);
    store<u16>(PARENT + a * 2, node);
    store<u16>(PARENT + b * 2, node);
    const depth = max((first >> 10) & 31, (second >> 10) & 31) + 1;
    store<u32>(HEAP + 4, (((first >> 15) + (second >> 15)) << 15) | (depth << 10) | node);
    node++;
    siftDown(1, size);
  } while (size >= 2);
  store<u16>(ORDER + --order * 2, load<u32>(HEAP + 4) & NODE_MASK);

  assignLengths(order, bits, symbols, limit);
  return stop;
}

/**
 * Sifts the entry at `at` down until no child is smaller; of equal children the right one moves up. The value after the
 * heap is larger than all entries.
 */
function siftDown(at: u32, size: u32): void {
  const entry = load<u32>(HEAP + at * 4);
  const end = HEAP + size * 4;
  let place = HEAP + at * 4;
  let child = HEAP + at * 8;
  store<u32>(end + 4, 0xffffffff);
  while (child <= end) {
    // Adds the comparison result instead of branching: which child is smaller is unpredictable.
    child += ((load<u32>(child, 4) >> 10 <= load<u32>(child) >> 10) as u32) << 2;
    const small = load<u32>(child);
    if (entry >> 10 <= small >> 10) break;
    store<u32>(place, small);
    place = child;
    child = (child << 1) - HEAP;
  }
  store<u32>(place, entry);
}

/**
 * Computes depths from the root down. Lengths over the limit are cut, which is compensated by lengthening the longest
 * of the others.
 */
function assignLengths(order: u32, bits: u32, symbols: u32, limit: u32): void {
  memory.fill(COUNT, 0, 64);
  let overflow: i32 = 0;
  store<u8>(NODE_BITS + (load<u16>(ORDER + order * 2) as u32), 0);
  for (let at = order + 1; at < ORDER_END; at++) {
    const n = load<u16>(ORDER + at * 2) as u32;
    let length = (load<u8>(NODE_BITS + (load<u16>(PARENT + n * 2) as u32)) as u32) + 1;
    if (length > limit) {
      length = limit;
      overflow++;
    }
    store<u8>(NODE_BITS + n, length);
    if (n >= symbols) continue;
    store<u8>(bits + n, length);
    store<u32>(COUNT + length * 4, load<u32>(COUNT + length * 4) + 1);
  }
  if (overflow == 0) return;
  do {
    let length = limit - 1;
    while (load<u32>(COUNT + length * 4) == 0) length--;
    store<u32>(COUNT + length * 4, load<u32>(COUNT + length * 4) - 1);
    store<u32>(COUNT + length * 4 + 4, load<u32>(COUNT + length * 4 + 4) + 2);
    store<u32>(COUNT + limit * 4, load<u32>(COUNT + limit * 4) - 1);
    overflow -= 2;
  } while (overflow > 0);
  // Assigns the lengths again, longest first, to the symbols in the order in which they were taken.
  let at = ORDER_END;
  for (let length = limit; length != 0; length--) {
    let count = load<u32>(COUNT + length * 4);
    while (count != 0) {
      const n = load<u16>(ORDER + --at * 2) as u32;
      if (n >= symbols) continue;
      store<u8>(bits + n, length);
      count--;
    }
  }
}
