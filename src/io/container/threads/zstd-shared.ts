import type { UnzstdExports } from "../../../engine/page-memory.js";
import { LARGEST_BLOCK, ringSize } from "../../../engine/zstd-decoder.js";

/**
 * The memory that two threads decode zstd in. The first stage (what a block says) is the worker's; the second one (its
 * content) is done by whoever comes to it: the owner where it has nothing to read, the worker where all jobs are in
 * use. Three numbers of jobs increase: decoded, written, taken. Job k has place k modulo {@link JOBS}.
 *
 * | control word | meaning                                                          |
 * | ------------ | ---------------------------------------------------------------- |
 * | `READY`      | 1: the worker waits for commands                                 |
 * | `COMMAND`    | number of the last command: decode the blocks from `START` on    |
 * | `FINISHED`   | number of the last command that the worker is through with       |
 * | `STOP`       | 1: the worker ends                                               |
 * | `DECODED`    | jobs through the first stage                                     |
 * | `WRITTEN`    | jobs through the second stage                                    |
 * | `TAKEN`      | jobs that the owner is through with                              |
 * | `WRITER`     | 1: a thread is in the second stage                               |
 *
 * Every word has a cache line of its own, and is waited for by `Atomics.wait`.
 */
const LINE = 16;
const FIRST_WORD = 256;
const word = (k: number): number => FIRST_WORD + k * LINE;
export const READY = word(0);
export const COMMAND = word(1);
export const FINISHED = word(2);
export const STOP = word(3);
export const DECODED = word(4);
export const WRITTEN = word(5);
export const TAKEN = word(6);
const WRITER = word(7);
/** A float: where the blocks begin in the file. */
const START = word(8) / 2;

/** Jobs that may be decoded and not taken; a power of two. */
export const JOBS = 32;
/** Jobs that may be written and not taken. The ring holds them, and what is small stays in the processor's cache. */
const MOST_WRITTEN = 16;
/** To wake a thread takes 26 us of the other one, so it is done for so many jobs at a time. */
export const GROUP = 8;

/** Addresses: the workspace, the jobs with the owner's own one after them, the ring. */
const WORK = 1 << 16;
const FIRST_JOB = 2 << 16;
const STRIDE = 10 << 16;
const RING = FIRST_JOB + (JOBS + 1) * STRIDE;
const SLACK = 64;
/** Bytes of what a job says beside: kind, address, and where the block begins and ends in the file. */
const NOTES = 64;
const GRAIN = 1 << 16;
const UNREAD = MOST_WRITTEN << 17;

/** The owner's own job, for blocks that it decodes by itself. */
export const OWN = -1;

/** What a job is: a block, a frame's last one, or no block, but the offset from which the owner goes on. */
export const Kind = { BLOCK: 0, LAST: 1, STOP: 2 } as const;

/** What a thread passes to another one. */
export interface SharedZstd {
  memory: WebAssembly.Memory;
  module: WebAssembly.Module;
}

/** Memory for frames with windows of up to `window` bytes. Errors: `RangeError`, where there is none. */
export function zstdMemory(window: number): WebAssembly.Memory {
  const pages = Math.ceil((RING + ringSize(window, UNREAD) + SLACK) / GRAIN);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/** One thread's view of it. */
export class ZstdJobs {
  readonly bytes: Uint8Array;
  readonly control: Int32Array;
  private readonly exports: UnzstdExports;
  private readonly floats: Float64Array;
  private readonly inputAt: number;

  constructor({ memory, module }: SharedZstd) {
    this.exports = new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as UnzstdExports;
    this.bytes = new Uint8Array(memory.buffer);
    this.control = new Int32Array(memory.buffer);
    this.floats = new Float64Array(memory.buffer);
    const { UNZSTD_WORK, UNZSTD_JOB } = this.exports;
    this.inputAt = Math.ceil((UNZSTD_JOB.value as number) / 64) * 64;
    if (WORK + (UNZSTD_WORK.value as number) > FIRST_JOB || this.inputAt + LARGEST_BLOCK + SLACK + NOTES > STRIDE) {
      throw new RangeError("the engine's workspace is larger than its place");
    }
  }

  /** Owner, once: fills the tables. */
  init(): void {
    this.exports.unzstdInit(WORK);
  }

  /** Owner: begins a frame. False: its window is too large for the memory. */
  begin(window: number, hashed: boolean): boolean {
    const size = this.bytes.length - RING - SLACK;
    if (ringSize(window, UNREAD) > size) return false;
    this.exports.unzstdBegin(WORK, window, RING, size, hashed);
    return true;
  }

  checksum(): number {
    return this.exports.hashEnd(WORK) >>> 0;
  }

  get start(): number {
    return this.floats[START]!;
  }
  set start(offset: number) {
    this.floats[START] = offset;
  }

  /** The place of a job's block with its header. */
  input(k: number): number {
    return this.job(k) + this.inputAt;
  }

  /** First stage, of a block of `length` bytes in the job's place. Returns 0, or an error. */
  decode(k: number, length: number): number {
    return this.exports.unzstdRead(WORK, this.job(k), this.input(k), length);
  }

  /** Second stage. Zero: damage. */
  write(k: number): number {
    const at = this.exports.unzstdWrite(WORK, this.job(k)) >>> 0;
    this.control[this.notes(k) + 1] = at;
    return at;
  }

  /** Says what a job is. */
  note(k: number, kind: number, from: number, to: number): void {
    const notes = this.notes(k);
    this.control[notes] = kind;
    this.floats[notes / 2 + 1] = from;
    this.floats[notes / 2 + 2] = to;
  }

  noted(k: number): { kind: number; from: number; to: number } {
    const notes = this.notes(k);
    return { kind: this.control[notes]!, from: this.floats[notes / 2 + 1]!, to: this.floats[notes / 2 + 2]! };
  }

  /** The content that the second stage has written; undefined where it found damage. */
  content(k: number): Uint8Array | undefined {
    const at = this.control[this.notes(k) + 1]! >>> 0;
    return at === 0 ? undefined : this.bytes.subarray(at, at + this.exports.unzstdLength(this.job(k)));
  }

  /**
   * Second stage of the next job, unless another thread is in it, or there is none, or enough wait to be read. Returns
   * whether it was done.
   */
  writeNext(): boolean {
    const { control } = this;
    if (Atomics.compareExchange(control, WRITER, 0, 1) !== 0) return false;
    try {
      const next = Atomics.load(control, WRITTEN);
      if (next >= Atomics.load(control, DECODED) || this.noted(next).kind === Kind.STOP) return false;
      if (next - Atomics.load(control, TAKEN) >= MOST_WRITTEN) return false;
      this.write(next);
      Atomics.store(control, WRITTEN, next + 1);
      return true;
    } finally {
      Atomics.store(control, WRITER, 0);
      Atomics.notify(control, WRITTEN);
    }
  }

  private job(k: number): number {
    return FIRST_JOB + (k === OWN ? JOBS : k & (JOBS - 1)) * STRIDE;
  }

  /** As an index of words. */
  private notes(k: number): number {
    return (this.job(k) + STRIDE - NOTES) / 4;
  }
}
