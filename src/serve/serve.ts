import { EventEmitter, once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../bytes/errors.js";
import { AllowedPeers } from "../io/transport/allowed-peers.js";
import type { Refused } from "../io/transport/connection.js";
import { openListener } from "../io/transport/listen-uri.js";
import { Peer, PeerGone } from "./peer.js";

/** Milliseconds without a client after which the last one has gone: some open a connection after another. */
const GRACE = 500;

export interface ServeOptions {
  /** Ends when the last client has gone; default: never, or by `signal`. */
  once?: boolean;
  /** Ends the service. */
  signal?: AbortSignal;
  /** Clients at a time, at most; others are closed at once, unless an older one has said nothing. */
  most: number;
  /** Addresses and networks from which clients may connect, as for `receiveInto`. */
  allow?: readonly string[];
  /** Called for every connection that was closed because it is no client, or one too many. */
  onRefused?: (refused: Refused) => void;
  /** Called with the URI, with the port that the system chose for port 0. */
  onListening?: (uri: string) => void;
  /** Milliseconds for a peer to go on with a message; for tests. */
  stalled?: number;
  /** Milliseconds in which a client must say something; default 30 s. */
  begin?: number;
}

/** Milliseconds in which a client must begin. */
const LIMIT = 30_000;
/** Milliseconds after which one that has said nothing makes room for another. */
const SILENT = 500;

/**
 * Serves clients at `tcp:HOST:PORT` or `unix:PATH`, each by `talk`. A peer that `talk` does not make welcome does
 * not count for `once`. Errors: usage (`allow`); as `openListener`; any of `talk` but `PeerGone`.
 */
export async function serve(
  uri: string,
  { once: one = false, signal, most, allow = [], onRefused, onListening, stalled, begin = LIMIT }: ServeOptions,
  talk: (peer: Peer) => Promise<void>,
): Promise<void> {
  const peers = new Set<Peer>();
  const scheme = /^[a-z]+(?=:)/u.exec(uri)?.[0];
  if (scheme !== "tcp" && scheme !== "unix") {
    throw new QevmError("usage", "cannot listen", {
      expected: "tcp:HOST:PORT or unix:PATH",
      found: JSON.stringify(uri),
    });
  }
  const over = new EventEmitter();
  const end = once(over, "end");
  over.on("error", () => undefined);
  let served = false;
  const ended = async (): Promise<void> => {
    await sleep(GRACE);
    if (one && served && peers.size === 0) over.emit("end");
  };
  const allowed = new AllowedPeers(allow, uri);
  const refuse = (peer: Peer, why: string): void => {
    peer.close();
    peers.delete(peer);
    onRefused?.({ from: peer.name, receivedBytes: peer.received, why });
  };
  const listening = await openListener(uri, (connection) => {
    const peer = new Peer(connection, stalled === undefined ? {} : { limit: stalled });
    if (!allowed.allows(connection.address)) {
      refuse(peer, "its address is not one of --allow");
      return;
    }
    if (peers.size >= most) {
      const idle = [...peers].find(({ welcome, since }) => !welcome && performance.now() - since > SILENT);
      refuse(idle ?? peer, `more than ${most} clients`);
      if (idle === undefined) return;
    }
    peers.add(peer);
    const waited = setTimeout(() => {
      if (!peer.welcome) refuse(peer, "it said nothing that a client says");
    }, begin);
    void talk(peer)
      .catch((error: unknown) => {
        if (!(error instanceof PeerGone)) over.emit("error", error);
      })
      .then(async () => {
        clearTimeout(waited);
        served ||= peer.welcome;
        peer.end();
        peers.delete(peer);
        await ended();
      });
  });
  try {
    onListening?.(listening.uri);
    signal?.addEventListener("abort", () => over.emit("end"));
    if (signal?.aborted !== true) await end;
  } finally {
    listening.close();
    for (const peer of peers) peer.close();
  }
}
