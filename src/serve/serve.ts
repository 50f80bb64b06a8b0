import { EventEmitter, once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../bytes/errors.js";
import { openListener } from "../io/transport/listen-uri.js";
import { Peer, PeerGone } from "./peer.js";

/** Milliseconds without a client after which the last one has gone: some open a connection after another. */
const GRACE = 500;

export interface ServeOptions {
  /** Ends when the last client has gone; default: never, or by `signal`. */
  once?: boolean;
  /** Ends the service. */
  signal?: AbortSignal;
  /** Clients at a time, at most; others are closed at once. */
  most: number;
  /** Called with the URI, with the port that the system chose for port 0. */
  onListening?: (uri: string) => void;
  /** Milliseconds for a peer to go on with a message; for tests. */
  stalled?: number;
}

/**
 * Serves clients at `tcp:HOST:PORT` or `unix:PATH`, each by `talk`. A peer that `talk` does not make welcome does
 * not count for `once`. Errors: as `openListener`; any of `talk` but `PeerGone`.
 */
export async function serve(
  uri: string,
  { once: one = false, signal, most, onListening, stalled }: ServeOptions,
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
  const listening = await openListener(uri, (connection) => {
    if (peers.size >= most) {
      connection.destroy();
      return;
    }
    const peer = new Peer(connection, stalled === undefined ? {} : { limit: stalled });
    peers.add(peer);
    void talk(peer)
      .catch((error: unknown) => {
        if (!(error instanceof PeerGone)) over.emit("error", error);
      })
      .then(async () => {
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
