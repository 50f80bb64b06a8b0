/** Pages of many kinds, generated from a seed: the same seed gives the same page on every machine. */

/** xorshift32: small, fast, and sufficient for generating pages. */
export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = (Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^ (seed << 7)) | 0 || 1;
    for (let i = 0; i < 4; i++) this.next();
  }
  /** 0 to 2^32 - 1. */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x >>> 0;
  }
  /** 0 to n - 1. */
  below(n: number): number {
    return this.next() % n;
  }
}

const WORDS =
  "the of guest page kernel /usr/lib migrate root 0x1000 error: static int void return \n {} // -- 00 ff".split(" ");

type Maker = (page: Uint8Array, random: Random) => void;

function noise(page: Uint8Array, random: Random, from = 0, to = page.length): void {
  for (let i = from; i < to; i++) page[i] = random.next() >>> 13;
}

/** Kinds of pages; the specification's vectors contain these names. */
export const PAGE_MAKERS: Readonly<Record<string, Maker>> = {
  "all zero but one byte": (page, random) => {
    page[random.below(page.length)] = 1 + random.below(255);
  },
  "one byte all over": (page, random) => {
    page.fill(random.below(256));
  },
  "random bytes": (page, random) => noise(page, random),
  "random bytes after zeros": (page, random) => noise(page, random, random.below(page.length)),
  "few symbols": (page, random) => {
    const symbols = 1 + random.below(20);
    for (let i = 0; i < page.length; i++) page[i] = random.below(symbols) * 11;
  },
  "skewed symbols": (page, random) => {
    // Powers of two, so that the optimal code lengths exceed every limit.
    for (let i = 0; i < page.length; i++) page[i] = Math.clz32(random.next());
  },
  "fibonacci symbols": (page, random) => {
    const run = [1, 1];
    let at = 0;
    for (let symbol = 0; at < page.length; symbol++) {
      const times = run[symbol] ?? 1;
      run.push(times + (run[symbol + 1] ?? 1));
      for (let i = 0; i < times && at < page.length; i++) page[at++] = symbol;
    }
    for (let i = page.length - 1; i > 0; i--) {
      const j = random.below(i + 1);
      const kept = page[i]!;
      page[i] = page[j]!;
      page[j] = kept;
    }
  },
  "words of text": (page, random) => {
    let at = 0;
    while (at < page.length) {
      const word = WORDS[random.below(WORDS.length)]!;
      for (let i = 0; i < word.length && at < page.length; i++) page[at++] = word.charCodeAt(i);
      if (at < page.length) page[at++] = 32;
    }
  },
  "table of pointers": (page, random) => {
    const base = random.next() & 0xffffff;
    const view = new DataView(page.buffer, page.byteOffset, page.length);
    for (let i = 0; i + 8 <= page.length; i += 8) {
      if (random.below(4) === 0) continue;
      view.setUint32(i, base + random.below(4096) * 64, true);
      view.setUint32(i + 4, 0xffff8880, true);
    }
  },
  "table of counters": (page, random) => {
    const width = 4 + random.below(60);
    const first = random.below(1000);
    for (let i = 0; i < page.length; i++) page[i] = i % width === 0 ? first + i / width : i % width < 6 ? 7 : 0;
  },
  "period of any length": (page, random) => {
    const period = 1 + random.below(3000);
    noise(page, random, 0, period);
    page.copyWithin(period, 0, page.length - period);
    for (let i = period; i + period < page.length; i += period) page.copyWithin(i, 0, period);
    for (let i = random.below(6); i > 0; i--) page[random.below(page.length)] = random.below(256);
  },
  "copies at all distances": (page, random) => {
    let at = 1 + random.below(40);
    noise(page, random, 0, at);
    while (at < page.length) {
      const from = random.below(at);
      const length = 1 + random.below(random.below(4) === 0 ? 300 : 12);
      for (let i = 0; i < length && at < page.length; i++) page[at++] = page[from + i]!;
      if (random.below(3) === 0 && at < page.length) page[at++] = random.below(256);
    }
  },
  "long zero runs": (page, random) => {
    let at = 0;
    while (at < page.length) {
      at += random.below(700);
      for (let i = random.below(30); i > 0 && at < page.length; i--) page[at++] = random.below(256);
    }
  },
  ramp: (page, random) => {
    const step = 1 + random.below(255);
    for (let i = 0; i < page.length; i++) page[i] = Math.floor((i * step) / 64);
  },
};

/** A page of this kind and seed. */
export function makePage(kind: string, seed: number, page: Uint8Array = new Uint8Array(4096)): Uint8Array {
  const maker = PAGE_MAKERS[kind];
  if (maker === undefined) throw new Error(`no such kind of page: ${kind}`);
  page.fill(0);
  maker(page, new Random(seed));
  return page;
}
