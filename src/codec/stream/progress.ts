import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import { BEHIND_ERROR, countRest, ENDS_INSIDE, type Unfinished } from "./rest.js";

/** How far a walk has come, and whether the stream was cut off there. */
export class Progress {
  /** Lenient: the stream ended inside something. */
  cut = false;
  /** Absolute offset after what was decoded last and handed on. */
  private settled: number;

  /**
   * @param whole bytes from the beginning that must be there before a cut is tolerated
   * @param broken the connection is known to have broken off: a cut is not an anomaly
   */
  constructor(
    private readonly reader: QemuFileReader,
    private readonly diagnostics: Diagnostics,
    private readonly whole: number,
    private readonly broken: boolean,
  ) {
    this.settled = reader.offset;
  }

  /** What was read so far was handed on. */
  settle(): void {
    this.settled = this.reader.offset;
  }

  /** Whether an error is the end of a cut stream, which lenient mode passes over. */
  passOver(error: unknown): boolean {
    const { lenient } = this.diagnostics;
    if (!(lenient || this.broken) || !(error instanceof QevmError) || error.code !== "truncated") return false;
    // A stream that is shorter than its header shows nothing.
    if (this.reader.offset < this.whole) return false;
    if (!this.broken) this.diagnostics.passOver(error);
    this.cut = true;
    return true;
  }

  /** The parts of a section; a stream that is cut off in them ends there. */
  async *following<T>(parts: AsyncGenerator<T>): AsyncGenerator<T> {
    try {
      for await (const part of parts) {
        this.settle();
        yield part;
      }
      this.settle();
    } catch (error) {
      if (!this.passOver(error)) throw error;
    }
  }

  /** What follows the last part that was decoded, read to its end to be counted. Undefined: nothing. Errors: io. */
  async unfinished(): Promise<Unfinished | undefined> {
    return await countRest(this.reader, this.settled, this.cut ? ENDS_INSIDE : BEHIND_ERROR);
  }
}
