import { readSync } from "node:fs";
import { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { ByteSource } from "../../bytes/source.js";

/**
 * The descriptor of a socket, which Node keeps in its handle; -1 where it has none (Windows), undefined once closed.
 */
interface Opened {
  readonly _handle?: { readonly fd?: number } | null;
}

/**
 * A socket whose bytes are read into the memory that asks for them. Node's stream makes a new buffer of 64 KiB for each
 * read, and their first touch costs more than the bytes: here the stream only tells that something has come, with its
 * first piece, and the rest is read from the descriptor.
 */
export class SocketSource implements ByteSource {
  private chunk: Uint8Array | undefined;
  /** Nothing was left at the last read. */
  private dry = true;
  private ended = false;
  private failure: Error | undefined;
  private wake: (() => void) | undefined;

  private constructor(private readonly socket: Socket) {
    socket.on("readable", this.poke);
    socket.on("end", this.end);
    socket.on("close", this.end);
    // Stays: an error of a socket that nobody listens to ends the program.
    socket.on("error", (error) => {
      this.failure ??= error;
      this.poke();
    });
  }

  /** Undefined for what is no plain socket, or is read in another way already. */
  static over(input: unknown): SocketSource | undefined {
    if (!(input instanceof Socket) || input instanceof TLSSocket) return undefined;
    if (input.readableFlowing !== null || input.readableEncoding !== null || !input.readable) return undefined;
    return (descriptorOf(input) ?? -1) < 0 ? undefined : new SocketSource(input);
  }

  /** Errors: those of the socket. */
  read(into: Uint8Array): number | Promise<number> {
    const got = this.take(into);
    return got > 0 ? got : this.wait(into);
  }

  /** Leaves the socket to its owner, open. */
  close(): void {
    this.socket.off("readable", this.poke).off("end", this.end).off("close", this.end);
  }

  /** What is there now; 0: nothing yet, or never again. */
  private take(into: Uint8Array): number {
    this.chunk ??= (this.socket.read() as Uint8Array | null) ?? undefined;
    const { chunk } = this;
    if (chunk === undefined) return this.dry ? 0 : this.direct(into);
    const n = Math.min(into.length, chunk.length);
    into.set(chunk.subarray(0, n));
    this.chunk = n < chunk.length ? chunk.subarray(n) : undefined;
    this.dry = false;
    return n;
  }

  /** What the stream has not read: only while it has nothing itself, so that nothing is overtaken. */
  private direct(into: Uint8Array): number {
    this.dry = true;
    // A descriptor that was closed may be another file's.
    const fd = descriptorOf(this.socket);
    if (fd === undefined) return 0;
    try {
      const n = readSync(fd, into, 0, into.length, null);
      this.dry = n < into.length;
      this.ended ||= n === 0;
      return n;
    } catch (error) {
      // An error is told once, and the stream has not got it.
      if (!isAgain(error)) this.failure ??= error as Error;
      return 0;
    }
  }

  private async wait(into: Uint8Array): Promise<number> {
    for (;;) {
      if (this.failure !== undefined) throw this.failure;
      if (this.ended) return 0;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      const got = this.take(into);
      if (got > 0) return got;
    }
  }

  private readonly poke = (): void => {
    const { wake } = this;
    this.wake = undefined;
    wake?.();
  };

  private readonly end = (): void => {
    this.ended = true;
    this.poke();
  };
}

function isAgain(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EAGAIN";
}

function descriptorOf(socket: Socket): number | undefined {
  const fd = (socket as Opened)._handle?.fd;
  return fd === undefined || fd < 0 ? undefined : fd;
}
