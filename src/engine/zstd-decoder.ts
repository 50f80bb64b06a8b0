import { QevmError } from "../bytes/errors.js";
import { PageMemory } from "./page-memory.js";
import { loadPageModule } from "./page-module.js";

const BLOCK = 1 << 17;
/** Bytes of a block's header. */
export const BLOCK_HEADER = 3;
/** A block with its header. */
export const LARGEST_BLOCK = BLOCK_HEADER + BLOCK;
/** `--long=31`, zstd's largest window: 2 GiB. */
export const LARGEST_WINDOW = 2 ** 31;
/** What the engine may read after a block, and write after the ring. */
const READ_SLACK = 64;
const WRITE_SLACK = 64;
/** Kinds of blocks: one byte that is repeated, and none. */
const REPEATED = 1;
const RESERVED = 3;

/** What becomes of an error of the engine: the texts of zstd's library for what a block can have. */
export function zstdError(code: number): Error {
  return new Error(code === 30 ? "dictionary is corrupted" : "data corruption detected");
}

/**
 * The header of a block (RFC 8878 section 3.1.1.2): its bits, the block's bytes with the header, undefined where there
 * is no such block, and whether it is the frame's last.
 */
export function readBlockHeader(
  bytes: Uint8Array,
  at: number,
): { bits: number; length: number | undefined; last: boolean } {
  const bits = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16);
  const kind = (bits >> 1) & 3;
  const size = bits >> 3;
  const isBlock = kind !== RESERVED && size <= BLOCK;
  const length = isBlock ? BLOCK_HEADER + (kind === REPEATED ? 1 : size) : undefined;
  return { bits, length, last: (bits & 1) === 1 };
}

/**
 * Bytes of the ring for a frame: the window and two blocks, so that a whole block fits wherever it begins.
 *
 * @param unread bytes that are not yet read when the next ones are written
 */
export function ringSize(window: number, unread = 0): number {
  return Math.ceil((Math.max(window, unread) + 2 * BLOCK) / 64) * 64;
}

/**
 * A decoder of zstd's frames (RFC 8878) by the page engine, a block at a time. Memory: the largest window of the
 * frames, and 1 MB.
 */
export class ZstdDecoder {
  private readonly work: number;
  private readonly job: number;
  private readonly input: number;
  private readonly ring: number;
  /** Bytes of the ring, which is the last thing in the memory and grows. */
  private size = 0;

  private constructor(private readonly memory: PageMemory) {
    const { exports } = memory;
    this.work = memory.allocate(exports.UNZSTD_WORK.value as number);
    this.job = memory.allocate(exports.UNZSTD_JOB.value as number);
    this.input = memory.allocate(LARGEST_BLOCK + READ_SLACK);
    this.ring = memory.allocate(WRITE_SLACK);
    exports.unzstdInit(this.work);
  }

  /** Errors: io, where the WebAssembly file is missing. */
  static async create(module?: WebAssembly.Module): Promise<ZstdDecoder> {
    return new ZstdDecoder(new PageMemory(module ?? (await loadPageModule())));
  }

  /**
   * Begins a frame, whatever became of the last one.
   *
   * @param window bytes, at most {@link LARGEST_WINDOW}
   * @param hashed whether `checksum` is wanted
   *
   *   Errors: limit, where there is no memory for the window.
   */
  begin(window: number, hashed: boolean): void {
    const size = ringSize(window);
    if (size > this.size) {
      try {
        this.memory.extend(size - this.size);
      } catch (error) {
        throw new QevmError("limit", "no memory for a zstd window", { found: `${window} bytes`, cause: error });
      }
      this.size = size;
    }
    this.memory.exports.unzstdBegin(this.work, window, this.ring, this.size, hashed);
  }

  /**
   * The content of the frame's next block, which is given with its header. Valid until the next one. Errors: `Error`.
   */
  block(bytes: Uint8Array): Uint8Array {
    if (bytes.length > LARGEST_BLOCK) throw new RangeError(`${bytes.length} bytes of a block`);
    const { memory, work, job, input } = this;
    const { exports } = memory;
    memory.bytes.set(bytes, input);
    const error = exports.unzstdRead(work, job, input, bytes.length);
    if (error !== 0) throw zstdError(error);
    const at = exports.unzstdWrite(work, job) >>> 0;
    if (at === 0) throw zstdError(0);
    return memory.bytes.subarray(at, at + exports.unzstdLength(job));
  }

  /** The checksum of the frame's content so far: the low half of XXH64. */
  checksum(): number {
    return this.memory.exports.hashEnd(this.work) >>> 0;
  }
}
