import { QevmError } from "../../bytes/errors.js";
import { RamFlag } from "../../codec/ram/index.js";
import { concat, str8 } from "./raw-bytes.js";
import { join, takeApart } from "./parts.js";

/** Returns in a word or line what becomes of a stream; the smaller one must have the same result. */
export type Judge = (bytes: Uint8Array) => Promise<string>;

/** When minimising stops. */
export interface MinimiseOptions {
  /** Streams tried at most. Default 20,000. */
  tests?: number;
  onProgress?: (bytes: number, tests: number) => void;
}

/** The smallest case that was found. */
export interface Minimised {
  bytes: Uint8Array;
  /** The judge's result for it, which is that of the given stream. */
  outcome: string;
  tests: number;
}

/**
 * Makes a stream smaller while its outcome stays: parts are left out, then bytes, then counted strings together with
 * their counts; what is left is made zero where that changes nothing. Ends when a whole round gained nothing, or with
 * the last test.
 */
export async function minimise(bytes: Uint8Array, judge: Judge, options: MinimiseOptions = {}): Promise<Minimised> {
  const search = new Search(bytes, await judge(bytes), judge, options);
  try {
    await search.parts();
    for (;;) {
      const before = search.best;
      await search.windows();
      await search.counted();
      await search.named();
      await search.zeros();
      if (search.best.length === before.length && search.best.every((byte, i) => byte === before[i])) break;
    }
  } catch (error) {
    if (error !== TESTS_SPENT) throw error;
  }
  return { bytes: search.best, outcome: search.outcome, tests: search.tests };
}

/** Windows of up to this many bytes are tried in every length. */
const EVERY_LENGTH = 40;

const TESTS_SPENT = new QevmError("limit", "all tests are spent");

class Search {
  tests = 1;

  constructor(
    public best: Uint8Array,
    readonly outcome: string,
    private readonly judge: Judge,
    private readonly options: MinimiseOptions,
  ) {}

  /** Takes a candidate where its outcome is the same. */
  private async take(candidate: Uint8Array): Promise<boolean> {
    if (this.tests >= (this.options.tests ?? 20_000)) throw TESTS_SPENT;
    this.tests++;
    if ((await this.judge(candidate)) !== this.outcome) return false;
    this.best = candidate;
    this.options.onProgress?.(candidate.length, this.tests);
    return true;
  }

  /** Leaves out parts, many at a time first. */
  async parts(): Promise<void> {
    let { list } = await takeApart(this.best);
    for (let size = list.length >> 1; size >= 1; size >>= 1) {
      for (let at = list.length - size; at >= 0; at -= size) {
        const fewer = [...list.slice(0, at), ...list.slice(at + size)];
        if (await this.take(join(fewer))) list = fewer;
      }
    }
  }

  /** Leaves out bytes, from the end on, many at a time first. */
  async windows(): Promise<void> {
    // Structures have odd lengths: for a short stream all of them are tried.
    for (let size = this.best.length >> 1; size >= 1; size = size <= EVERY_LENGTH ? size - 1 : size >> 1) {
      for (let at = this.best.length - size; at >= 0; at = Math.min(at - size, this.best.length - size)) {
        await this.take(concat(this.best.subarray(0, at), this.best.subarray(at + size)));
      }
    }
  }

  /** Assumes that each byte is the count (or the last byte of it) of what follows, and tries fewer. */
  async counted(): Promise<void> {
    for (let at = 0; at < this.best.length; at++) {
      const n = this.best[at]!;
      if (n > this.best.length - at - 1) continue;
      for (const fewer of new Set([0, 1, n >> 1, n - 1])) {
        if (fewer < 0 || fewer >= n) continue;
        const candidate = concat(this.best.subarray(0, at), [fewer], this.best.subarray(at + 1 + n - fewer));
        if (candidate.length < this.best.length && (await this.take(candidate))) break;
      }
    }
  }

  /** Gives a record that continues a block the block's name, so that the record that named it can go. */
  async named(): Promise<void> {
    const { blocks } = await takeApart(this.best);
    for (let at = 0; at < this.best.length; at++) {
      if ((this.best[at]! & RamFlag.CONTINUE) === 0) continue;
      for (const name of blocks) {
        const { best } = this;
        const flags = [best[at]! & ~RamFlag.CONTINUE];
        if (!(await this.take(concat(best.subarray(0, at), flags, str8(name), best.subarray(at + 1))))) continue;
        await this.windows();
        if (this.best.length < best.length) return;
        this.best = best;
      }
    }
  }

  /** Makes bytes zero. */
  async zeros(): Promise<void> {
    for (let at = 0; at < this.best.length; at++) {
      if (this.best[at] === 0) continue;
      const candidate = this.best.slice();
      candidate[at] = 0;
      await this.take(candidate);
    }
  }
}
