import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../bytes/errors.js";
import type { Destination } from "../../io/transport/destination-uri.js";

/** Milliseconds between tries. */
const AGAIN = 300;

/**
 * Connects to the destination of a migration that goes on after a break in postcopy, once it listens: a source of 7.2
 * that loses this connection, too, stays in postcopy-recover for ever, and its guest is lost (10.0 and 11.1 do not).
 * Errors: as `connect`, for other reasons or where it `isOver`.
 * @param onWaiting is told each failure
 */
export async function onceThere<T>(
  connect: () => Promise<T>,
  onWaiting: ((error: QevmError) => void) | undefined,
  isOver: () => boolean,
): Promise<T> {
  for (;;) {
    try {
      return await connect();
    } catch (error) {
      if (!(error instanceof QevmError) || error.code !== "io" || isOver()) throw error;
      onWaiting?.(error);
      await sleep(AGAIN);
    }
  }
}

/** Milliseconds that a destination has to close after a source that ended before its stream did. */
const CLOSES = 10_000;

/**
 * Ends a connection to the destination. Errors: truncated, where it does not close, though the source has ended
 * `early`: a QEMU that waits for a multifd channel's packets does not see that its main channel has ended (11.1).
 * @param early the destination's URI, where it cannot load what it got
 */
export async function endOf(destination: Destination, notify: boolean, early: string | undefined): Promise<void> {
  const ended = destination.end(notify);
  if (early === undefined) {
    await ended;
    return;
  }
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const what = `${early}: the source ended before its stream did, and the destination still waits for the rest`;
    timer = setTimeout(() => reject(new QevmError("truncated", what)), CLOSES);
  });
  await Promise.race([ended, late]).finally(() => clearTimeout(timer));
}

export function closedEarly(uri: string): QevmError {
  return new QevmError("io", `${uri}: the destination closed before the source did`);
}
