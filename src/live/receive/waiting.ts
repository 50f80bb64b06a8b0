import { textOf } from "../../io/transport/attempt.js";
import type { Connection } from "../../io/transport/connection.js";

/** A connection that is not identified yet. */
export interface Waiting {
  readonly connection: Connection;
  readonly since: number;
  /** Its number among all connections. */
  readonly order: number;
  /** It came when all channels of the migration had. */
  readonly late: boolean;
  bytes: number;
  /** Its TLS handshake is done, or none is needed. */
  secured: boolean;
  /** When data last arrived, of `performance.now()`. */
  last: number;
  /** What came of it where it begins like a main channel. */
  main: Uint8Array[] | undefined;
  why: string | undefined;
  /** It was closed and reported. */
  refused: boolean;
  /** It begins like a multifd channel, and is held until it is known to be of this migration. */
  held: boolean;
}

/** What it has said, for a report. */
export function saidBy({ bytes, secured }: Waiting): string {
  if (!secured) return "nothing that ends its TLS handshake";
  return bytes === 0 ? "nothing" : "too little to identify it";
}

/** The reason in a report that names the peer already. */
export function reasonOf(error: unknown, peer: string): string {
  const text = textOf(error);
  return text.startsWith(`${peer}: `) ? text.slice(peer.length + 2) : text;
}

export function brokeOff(error: unknown): string {
  return `it broke off: ${textOf(error)}`;
}
