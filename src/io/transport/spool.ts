import { closeSync, readSync } from "node:fs";
import { forward, isRandom, type ByteSource, type Positioned } from "../../bytes/source.js";
import { attempt, writeAll } from "./attempt.js";
import { systemFolder, temporaryFile } from "./temporary.js";

/** A source that can be read again, also at any place that was read once. */
export interface Again {
  /** Reads as the source does, and keeps what is needed for `readAt`. */
  source: ByteSource & Positioned;
  /** The same bytes from the first on. */
  rewind(): void;
  /** Removes what was kept. The source itself stays open. */
  close(): void;
}

/**
 * A source that can be read anywhere is taken as it is; of another one, a copy is kept in a temporary file in `folder`.
 * Errors: io.
 */
export function readableAgain(source: ByteSource, folder = systemFolder()): Again {
  if (!isRandom(source) || source.seek === undefined) return new Spool(source, folder);
  return { source, rewind: () => source.seek!(0), close: () => undefined };
}

/** What a pipe or decompressor gave, in a temporary file without a name: it is gone with the process, however that ends. */
class Spool implements Again {
  readonly source: ByteSource & Positioned;
  private readonly file: ReturnType<typeof temporaryFile>;
  private named = true;
  private written = 0;
  private position = 0;
  private ended = false;

  constructor(
    private readonly first: ByteSource,
    folder: string,
  ) {
    this.file = temporaryFile(folder, "qevm-copy");
    this.remove();
    // Not its length, `seek` and `readAhead`: only what was read already can be read again.
    this.source = {
      ...forward(first, (into) => this.read(into)),
      readAt: (position, into) => this.readAt(position, into),
    };
  }

  rewind(): void {
    this.position = 0;
  }

  close(): void {
    closeSync(this.file.fd);
    this.remove();
  }

  /** Where open files cannot be removed, that waits for `close`. */
  private remove(): void {
    if (!this.named) return;
    try {
      this.file.remove();
      this.named = false;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && (error.code === "EBUSY" || error.code === "EPERM")))
        throw error;
    }
  }

  private read(into: Uint8Array): number | Promise<number> {
    if (this.position < this.written || this.ended) {
      const n = this.readAt(this.position, into);
      this.position += n;
      return n;
    }
    const got = this.first.read(into);
    return typeof got === "number" ? this.keep(into, got) : got.then((n) => this.keep(into, n));
  }

  private keep(bytes: Uint8Array, n: number): number {
    if (n === 0) this.ended = true;
    writeAll(this.file.path, this.file.fd, bytes.subarray(0, n), this.written);
    this.written += n;
    this.position = this.written;
    return n;
  }

  private readAt(position: number, into: Uint8Array): number {
    return attempt(this.file.path, () => readSync(this.file.fd, into, 0, into.length, position));
  }
}
