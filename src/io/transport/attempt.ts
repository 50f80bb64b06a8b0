import { readSync, writeSync } from "node:fs";
import { QevmError } from "../../bytes/errors.js";

/** Runs a file system call. A failure becomes a typed error with the path. */
export function attempt<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof QevmError) throw error;
    throw new QevmError("io", `${path}: ${textOf(error)}`, { cause: error });
  }
}

/** The message of an error; of several (a host with more than one address), theirs. */
export function textOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === "") return error.errors.map(textOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

/**
 * Writes all of `bytes`: the system may write only a part of them, e.g. when the disk fills up. `at`: byte offset;
 * null: the current position. Errors: io.
 */
export function writeAll(path: string, fd: number, bytes: Uint8Array, at: number | null): void {
  for (let done = 0; done < bytes.length;) {
    done += attempt(path, () => writeSync(fd, bytes, done, bytes.length - done, at === null ? null : at + done));
  }
}

/** Reads until `into` is full or the file ends. Returns the number of bytes. Errors: io. */
export function readAll(path: string, fd: number, into: Uint8Array, at: number): number {
  let done = 0;
  while (done < into.length) {
    const n = attempt(path, () => readSync(fd, into, done, into.length - done, at + done));
    if (n === 0) break;
    done += n;
  }
  return done;
}
