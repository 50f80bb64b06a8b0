import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { Refused } from "../io/transport/connection.js";
import { syncName } from "../io/transport/durable.js";
import type { AtomicFolder } from "../io/transport/folder.js";
import { UsageError, type Arguments } from "./arguments.js";
import { safe, tell } from "./output.js";

/** Maximum number of refused connections printed; the recording's list has all of them. */
const MOST_TOLD = 20;

/** Prints connections that were closed because they did not belong. */
export function refusals(): (refused: Refused) => void {
  let told = 0;
  return ({ from, receivedBytes: bytes, why }) => {
    told++;
    if (told > MOST_TOLD + 1) return;
    if (told > MOST_TOLD) tell("further connections that do not belong here are closed without a message");
    else tell(`closed a connection from ${safe(from)} after ${bytes} bytes: ${safe(why)}`);
  };
}

/** Whether the data of a failed migration stays (the default). Errors: usage. */
export function keepsPartial(args: Arguments): boolean {
  const not = args.flag("no-keep-partial");
  if (not && args.flag("keep-partial")) throw new UsageError("--keep-partial does not go with --no-keep-partial");
  return !not;
}

/** Prints where the data of a failed migration was kept. */
export function tellKept(path: string): void {
  tell(`received data is kept in ${safe(path)} (complete: false); read it with --lenient`);
}

/** An unused name: `PATH.partial`, `PATH.partial-2` and so on. */
export function freeName(path: string): string {
  let free = path;
  for (let k = 2; existsSync(free); k++) free = `${path}-${k}`;
  return free;
}

/**
 * Moves the recording of a failed migration to its name; if that fails, prints where it is.
 * @param partial whether a recording that is not complete is kept
 */
export function keepFolder(folder: AtomicFolder, out: string, complete: boolean, partial: boolean): void {
  if (!complete && !partial) return;
  let path = out;
  try {
    folder.commit();
    syncName(resolve(out));
  } catch {
    path = folder.leave();
    // Somebody has removed it, or its parent.
    if (!existsSync(path)) return;
  }
  if (complete) tell(`every channel is kept in ${safe(path)}`);
  else tellKept(path);
}
