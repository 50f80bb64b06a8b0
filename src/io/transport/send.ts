import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../bytes/errors.js";
import type { ByteSource } from "../../bytes/source.js";
import type { Destination } from "./destination-uri.js";
import type { Follower } from "./followed.js";

/** How fast a stream is sent. */
export interface SendOptions {
  /** Maximum bytes per second; undefined: unlimited. */
  maxBandwidth?: number | undefined;
  /** @internal Reads along. */
  follower?: Follower | undefined;
}

/** Bytes that sockets may hold on their way, so that so many are sent to a destination that reads none. */
const MOST_BUFFERED = 16 << 20;
/** Bytes sent at a time. */
const CHUNK = 1 << 18;

/**
 * Sends all bytes of a source, with back-pressure from the destination. Returns the number of bytes. A destination that
 * closes early is the error `io` with the offset reached; errors of the source are passed on, and those of the
 * follower when everything was sent and the destination has closed.
 */
export async function sendStream(
  source: ByteSource,
  destination: Destination,
  { maxBandwidth, follower }: SendOptions = {},
): Promise<number> {
  const size = maxBandwidth === undefined ? CHUNK : Math.max(1, Math.min(CHUNK, Math.floor(maxBandwidth / 20)));
  const chunk = new Uint8Array(size);
  const start = performance.now();
  let sent = 0;
  const delivered = async (step: () => void | Promise<void>): Promise<void> => {
    try {
      await step();
    } catch (error) {
      throw early(error, sent, source.length, destination);
    }
  };
  try {
    for (let n = await source.read(chunk); n > 0; n = await source.read(chunk)) {
      const bytes = chunk.subarray(0, n);
      await Promise.all([delivered(() => destination.write(bytes)), follower?.feed(bytes)]);
      sent += n;
      if (maxBandwidth === undefined) continue;
      const ahead = (sent / maxBandwidth) * 1000 - (performance.now() - start);
      if (ahead > 1) await sleep(ahead);
    }
    const [over, whole] = await Promise.allSettled([delivered(() => destination.end()), follower?.end()]);
    // What is wrong with the stream is why its destination closes.
    if (whole.status === "rejected")
      throw asSent(whole.reason, sent, over.status === "rejected" ? over.reason : undefined);
    if (over.status === "rejected") throw over.reason;
  } catch (error) {
    destination.abort();
    throw error;
  }
  return sent;
}

/** What is wrong with a stream that was sent. @param lost how the destination ended, if otherwise than it should */
function asSent(error: unknown, sent: number, lost: unknown): unknown {
  if (!(error instanceof QevmError)) return error;
  const { code, what, offset, path, expected, found } = error;
  const sentHow = `sent ${code === "truncated" ? "as far as it came" : "as it is"}, ${sent} bytes`;
  const how = lost instanceof QevmError ? lost.what : sentHow;
  return new QevmError(code, `${how}: ${what}`, { offset, path, expected, found, cause: lost ?? error });
}

function early(error: unknown, sent: number, total: number | undefined, { plain }: Destination): unknown {
  if (!(error instanceof QevmError) || error.code !== "io") return error;
  const all = total === sent ? "after all" : "after";
  const of = total === undefined || total === sent ? "" : ` of ${total}`;
  const hint = plain === true && sent <= MOST_BUFFERED ? ", as one does that refuses it or expects TLS" : "";
  return new QevmError("io", `${error.what}: the destination closed ${all} ${sent}${of} bytes${hint}`, {
    cause: error,
  });
}
