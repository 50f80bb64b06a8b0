import { closeSync, ftruncateSync } from "node:fs";
import { QevmError } from "../../bytes/errors.js";
import type { ByteSource } from "../../bytes/source.js";
import { readAll, writeAll } from "../../io/transport/attempt.js";
import { systemFolder, temporaryFile } from "../../io/transport/temporary.js";

/** Bytes of one channel that are held in memory. */
const HELD = 4 << 20;

/** A piece that waits: its bytes, or where they are in the file. */
type Piece = Uint8Array | { at: number; length: number };

/** The multifd channels of a source whose pages are changed. */
export class Ahead {
  /** Whether they must be read on, for what the main channel waits for comes only then. */
  wanted = false;
  readonly pumps: ChannelPump[] = [];
  private begun = false;

  /**
   * Errors: unsupported after `begin`.
   * @param onLeft is called where the channel turns out to be of nobody
   */
  add(chunks: AsyncIterable<Uint8Array>, onLeft: () => void): ChannelPump {
    if (this.begun) throw new QevmError("unsupported", "a multifd channel came after its migration had begun");
    const pump = new ChannelPump(chunks, this, onLeft);
    this.pumps.push(pump);
    return pump;
  }

  /** All channels are known. */
  begin(): void {
    this.begun = true;
  }
}

/**
 * A multifd channel of a source that is relayed with other pages. Its pages can be written only inside a RAM section of
 * the main channel, which the source does not end while its channels are full. So as long as the main channel is waited
 * for, the channel is read on: what does not fit into memory goes to a private file, which has no name.
 */
class ChannelPump implements ByteSource {
  /** Resolves when the source has ended the channel. */
  readonly done: Promise<void>;
  private readonly pieces: Piece[] = [];
  private held = 0;
  private ended = false;
  private failure: unknown;
  private wakeReader: (() => void) | undefined;
  private wakePump: (() => void) | undefined;
  private file: ReturnType<typeof temporaryFile> | undefined;
  private written = 0;
  private closed = false;
  private isLeft = false;

  constructor(
    private readonly chunks: AsyncIterable<Uint8Array>,
    private readonly ahead: Ahead,
    private readonly onLeft: () => void,
  ) {
    this.done = this.pump();
    this.done.catch(() => undefined);
  }

  /** Whether `read` would give bytes at once. */
  get ready(): boolean {
    return this.pieces.length > 0;
  }

  /** Whether the source has closed it. */
  get isClosed(): boolean {
    return this.ended;
  }

  /** The main channel is waited for: reads on. */
  goOn(): void {
    this.wakePump?.();
  }

  async read(into: Uint8Array): Promise<number> {
    while (this.pieces.length === 0) {
      if (this.failure !== undefined) throw this.failure;
      if (this.ended) return 0;
      await new Promise<void>((resolve) => {
        this.wakeReader = resolve;
      });
    }
    const [first] = this.pieces as [Piece];
    const n = Math.min(into.length, first.length);
    if (first instanceof Uint8Array) {
      into.set(first.subarray(0, n));
      this.held -= n;
      this.pieces[0] = first.subarray(n);
    } else {
      readAll(this.file!.path, this.file!.fd, into.subarray(0, n), first.at);
      this.pieces[0] = { at: first.at + n, length: first.length - n };
    }
    if (n === first.length) this.pieces.shift();
    if (this.pieces.length === 0 && this.written > 0) {
      ftruncateSync(this.file!.fd, 0);
      this.written = 0;
    }
    this.wakePump?.();
    return n;
  }

  /** The channel is of nobody: how it ends is not asked. */
  leave(): void {
    this.isLeft = true;
    this.close();
    this.onLeft();
  }

  /** Lets go of the file. */
  close(): void {
    this.closed = true;
    this.wakePump?.();
    this.wakeReader?.();
    if (this.file !== undefined) closeSync(this.file.fd);
    this.file = undefined;
  }

  private async pump(): Promise<void> {
    try {
      for await (const chunk of this.chunks) {
        while (this.held >= HELD && !this.ahead.wanted && !this.closed) {
          await new Promise<void>((resolve) => {
            this.wakePump = resolve;
          });
        }
        // What follows the last pages is only recorded.
        if (this.closed) continue;
        if (this.held < HELD) {
          this.pieces.push(chunk);
          this.held += chunk.length;
        } else this.spill(chunk);
        this.wakeReader?.();
      }
    } catch (error) {
      if (this.isLeft) return;
      this.failure = error;
      throw error;
    } finally {
      this.ended = true;
      this.wakeReader?.();
    }
  }

  private spill(chunk: Uint8Array): void {
    if (this.file === undefined) {
      this.file = temporaryFile(systemFolder(), "qevm-relay");
      this.file.remove();
    }
    writeAll(this.file.path, this.file.fd, chunk, this.written);
    this.pieces.push({ at: this.written, length: chunk.length });
    this.written += chunk.length;
  }
}
