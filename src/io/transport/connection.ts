import type { Readable, Writable } from "node:stream";

/** What a connection through TLS is, for reports. */
export interface TlsFacts {
  /** `TLSv1.2` or `TLSv1.3`. */
  protocol: string;
  /** The cipher suite, by its name in the standard. */
  cipher: string;
  /** The peer's distinguished name or PSK user name; null: it gave none. */
  peer: string | null;
}

/** A connection that was closed because it is none that is waited for. */
export interface Refused {
  from: string;
  /** Bytes read from it. */
  receivedBytes: number;
  why: string;
}

/** One connection to a listener. */
export interface Connection {
  /** The peer: `HOST:PORT`, or the URI where that is unique. */
  readonly peer: string;
  /** Its address, of a TCP connection. */
  readonly address?: string | undefined;
  readonly input: Readable;
  /** The return path; undefined where there is none (programs, pipes). */
  readonly output: Writable | undefined;
  /**
   * Does the TLS handshake; undefined where there is none. Before it `input` is not to be read, and there is no `output`.
   * Errors: io, with the reason in words.
   */
  ready?(): Promise<void>;
  /** Set after the handshake. */
  readonly tls?: TlsFacts | undefined;
  /** Rejects where a program failed. Resolves at once for sockets. */
  ended(): Promise<void>;
  /** Closes both directions. */
  destroy(): void;
}

/**
 * The connections of a listener. One whose source has ended it is still ours to end: the source may wait for the end of
 * the return path, and Node keeps such a socket for as long as it is half open.
 */
export class OpenConnections {
  private readonly sending = new Set<Connection>();
  private readonly halfOpen = new Set<Connection>();

  add(connection: Connection): void {
    this.sending.add(connection);
    // The source may close the return path, or stop reading it.
    connection.output?.on("error", () => undefined);
  }

  /** Its source has sent everything. */
  ended(connection: Connection): void {
    this.sending.delete(connection);
    if (connection.output === undefined || connection.output.destroyed) return;
    this.halfOpen.add(connection);
    connection.output.once("close", () => this.halfOpen.delete(connection));
  }

  /** Ends every return path, after what was written to it. */
  endOutputs(): void {
    for (const { output } of [...this.sending, ...this.halfOpen]) output?.end();
  }

  /** Ends every return path, and closes what still sends. */
  close(): void {
    this.endOutputs();
    for (const connection of this.sending) connection.destroy();
  }
}
