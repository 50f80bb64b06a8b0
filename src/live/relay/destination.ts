import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../bytes/errors.js";

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

export function closedEarly(uri: string): QevmError {
  return new QevmError("io", `${uri}: the destination closed before the source did`);
}
