import { IterableSource } from "../bytes/source.js";
import type { Connection } from "../io/transport/listen-uri.js";
import { writeDrained } from "../io/transport/drained.js";

/** Milliseconds in which a peer must go on with what it has begun: a message, or taking a reply. */
const STALLED = 60_000;

/** The peer has closed the connection, stalls, or was closed. */
export class PeerGone extends Error {}

/**
 * One client, who may say anything: what it sends is taken a few bytes at a time, and nothing more is read while it
 * does not take its replies. A peer that stalls in the middle of a message or of a reply is disconnected.
 */
export class Peer {
  /** Whether it has said something sensible: only such a peer counts as a client. */
  welcome = false;
  /** When it has connected, of `performance.now()`. */
  readonly since = performance.now();
  /** Bytes read from it. */
  received = 0;
  private readonly source: IterableSource;
  private readonly limit: number;

  /** @param limit milliseconds of `STALLED`, for tests */
  constructor(
    private readonly connection: Connection,
    { limit = STALLED }: { limit?: number } = {},
  ) {
    this.source = new IterableSource(connection.input as AsyncIterable<Uint8Array>);
    this.limit = limit;
    connection.input.on("error", () => undefined);
    connection.output?.on("error", () => undefined);
  }

  get name(): string {
    return this.connection.peer;
  }

  /** The next `length` bytes. @param idle it may take any time before the first. Errors: `PeerGone`. */
  async bytes(length: number, { idle = false } = {}): Promise<Buffer> {
    const bytes = Buffer.alloc(length);
    let at = 0;
    if (idle && length > 0) at = await this.some(bytes);
    await this.timed(async () => {
      while (at < length) at += await this.some(bytes.subarray(at));
    });
    return bytes;
  }

  /** Stores 1 byte or more in `into`, and returns how many. Errors: `PeerGone`. */
  async some(into: Uint8Array): Promise<number> {
    try {
      const got = await this.source.read(into);
      this.received += got;
      if (got > 0) return got;
    } catch {
      // Reset, or closed here.
    }
    throw new PeerGone("closed");
  }

  /** Passes over bytes. Errors: `PeerGone`. */
  async discard(length: number): Promise<void> {
    const scratch = Buffer.alloc(Math.min(length, 1 << 16));
    for (let left = length; left > 0;) {
      left -= await this.timed(async () => await this.some(scratch.subarray(0, Math.min(left, scratch.length))));
    }
  }

  /** Sends bytes, which must not change any more, and waits until the peer takes them. Errors: `PeerGone`. */
  async send(...pieces: readonly Uint8Array[]): Promise<void> {
    const { output } = this.connection;
    if (output === undefined || !output.writable) throw new PeerGone("closed");
    await this.timed(async () => await writeDrained(output, pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)));
  }

  /** Ends the connection after what was sent. */
  end(): void {
    const { output } = this.connection;
    if (output === undefined || !output.writable) {
      this.close();
      return;
    }
    const timer = setTimeout(() => this.close(), 1000);
    output.end(() => {
      clearTimeout(timer);
      this.close();
    });
  }

  /** Ends the connection at once. */
  close(): void {
    this.connection.destroy();
  }

  /** @param limit milliseconds. Errors: `PeerGone`, by the closed connection. */
  async timed<T>(work: () => Promise<T>, limit = this.limit): Promise<T> {
    const timer = setTimeout(() => this.close(), limit);
    try {
      return await work();
    } finally {
      clearTimeout(timer);
    }
  }
}
