import { QevmError } from "../../bytes/errors.js";
import { isZero } from "../../bytes/zero.js";

/** Fills a page of generated memory. Returns false for a zero page, which it does not write. */
export type Fill = (page: Uint8Array, offset: number) => boolean;

/** Words for text-like pages; they compress about as well as log files. */
const WORDS =
  "the kernel page fault at address while reading inode block device mapped memory region flags offset length error none ok true false node cpu thread queue".split(
    " ",
  );

/**
 * A named fill: `zero`, `text` (compresses about 3:1), `random` (does not compress). The same seed gives the same
 * memory.
 */
export function namedFill(name: "zero" | "text" | "random", seed: number): Fill {
  switch (name) {
    case "zero":
      return () => false;
    case "text":
      return (page, offset) => {
        const random = generator(seed, offset);
        let at = 0;
        while (at < page.length) {
          const word = `${WORDS[random() % WORDS.length]} `;
          for (let i = 0; i < word.length && at < page.length; i++) page[at++] = word.charCodeAt(i);
        }
        return true;
      };
    case "random":
      return (page, offset) => {
        const random = generator(seed, offset);
        for (let i = 0; i < page.length; i++) page[i] = random() >>> 24;
        return true;
      };
    default:
      throw new QevmError("usage", `no fill ${JSON.stringify(name)}`);
  }
}

/** Memory from a file; zeros after its end. `read` fills a page and returns the number of bytes. */
export function fileFill(read: (offset: number, into: Uint8Array) => number): Fill {
  return (page, offset) => {
    page.fill(0, read(offset, page));
    return !isZero(page);
  };
}

/** Marsaglia's xorshift32, seeded by the page's address so that pages can be generated in any order. */
function generator(seed: number, offset: number): () => number {
  let state = (Math.imul(seed + 1, 0x9e3779b1) ^ Math.imul(offset / 1024 + 1, 0x85ebca6b)) >>> 0 || 1;
  const next = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>>= 0);
  };
  for (let i = 0; i < 4; i++) next();
  return next;
}
