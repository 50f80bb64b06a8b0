import { lstatSync, readdirSync, realpathSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { temporaryPattern } from "./temporary.js";

/** What a run that was killed (SIGKILL, loss of power) has left beside an output. */
interface Leftover {
  path: string;
  /** Bytes of its files. */
  bytes: number;
  /** A folder with channels of a migration: it can be read. */
  recording: boolean;
}

/** Files of a folder that are looked at for its size. */
const MOST = 10_000;

/**
 * Unfinished outputs of this user under the temporary names of `target`, and scratch files beside it. They look like
 * those of a run that is still under way. Files that cannot be examined are left out.
 */
export function leftovers(target: string): Leftover[] {
  const path = attemptOr(resolve(target), () => realpathSync(target));
  const folder = dirname(path);
  const pattern = temporaryPattern(basename(path));
  const names = attemptOr<string[]>([], () => readdirSync(folder)).filter((name) => pattern.test(name));
  return names.toSorted().flatMap((name) => {
    const at = join(folder, name);
    const stat = attemptOr(undefined, () => lstatSync(at));
    if (stat === undefined || stat.uid !== process.getuid?.()) return [];
    if (!stat.isDirectory()) return [{ path: at, bytes: stat.size, recording: false }];
    const files = attemptOr<string[]>([], () => readdirSync(at, { recursive: true, encoding: "utf8" }));
    const stats = files.slice(0, MOST).map((file) => attemptOr(undefined, () => lstatSync(join(at, file))));
    const bytes = stats.reduce((sum, one) => sum + (one?.isFile() === true ? one.size : 0), 0);
    return [{ path: at, bytes, recording: files.includes("main.bin") }];
  });
}

function attemptOr<T>(otherwise: T, work: () => T): T {
  try {
    return work();
  } catch {
    return otherwise;
  }
}
