import { closeSync, fsyncSync, ftruncateSync } from "node:fs";
import { join } from "node:path";
import { TIMELINE, TimelineWriter } from "../../io/recording/index.js";
import { attempt, writeAll } from "../../io/transport/attempt.js";
import { createFile } from "../../io/transport/temporary.js";

/** Characters that are held before they are written. */
const HELD = 1 << 16;

/** When the bytes of a recording arrived, as a file of the recording. */
export class TimelineFile {
  private readonly path: string;
  private readonly writer = new TimelineWriter(new Date());
  private fd: number | undefined;
  private length = 0;
  /** Lines that the disk has not taken yet. */
  private rest = "";

  /** Errors: io. */
  constructor(folder: string) {
    this.path = join(folder, TIMELINE);
    this.fd = createFile(this.path);
  }

  /** Bytes of a channel have arrived now. Errors: io. */
  add(channel: string, offset: number, length: number): void {
    this.writer.add(channel, offset, length, performance.now());
    if (this.writer.size > HELD) this.write();
  }

  /**
   * Waits until the disk has stored every line. Errors: io; the file then ends with a whole line, and what is missing is
   * tried again by the next call.
   */
  sync(): void {
    this.write();
    attempt(this.path, () => fsyncSync(this.fd!));
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  private write(): void {
    this.rest += this.writer.take();
    const bytes = Buffer.from(this.rest);
    try {
      writeAll(this.path, this.fd!, bytes, this.length);
    } catch (error) {
      attempt(this.path, () => ftruncateSync(this.fd!, this.length));
      throw error;
    }
    this.length += bytes.length;
    this.rest = "";
  }
}
