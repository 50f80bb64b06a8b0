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
