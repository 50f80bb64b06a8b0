import { makePage, type Random } from "./pages.js";

/** Damages a zlib payload: cuts or lengthens it, changes bits or bytes, or overwrites a part. */
export function damage(payload: Uint8Array, random: Random): Uint8Array {
  const copy = payload.slice();
  switch (random.below(6)) {
    case 0:
      return copy.subarray(0, random.below(copy.length));
    case 1: {
      const longer = new Uint8Array(copy.length + 1 + random.below(9));
      longer.set(makePage("random bytes", random.next()).subarray(0, longer.length - copy.length), copy.length);
      longer.set(copy);
      return longer;
    }
    case 2:
      // In the block header, where the codes are.
      copy[2 + random.below(Math.min(60, copy.length - 2))]! ^= 1 << random.below(8);
      return copy;
    case 3:
      for (let n = 1 + random.below(8); n > 0; n--) copy[random.below(copy.length)] = random.below(256);
      return copy;
    case 4:
      copy.fill(random.below(2) * 255, random.below(copy.length));
      return copy;
    default:
      copy[random.below(copy.length)]! ^= 1 << random.below(8);
      return copy;
  }
}
