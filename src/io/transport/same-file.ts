import { realpathSync, statSync, type BigIntStats } from "node:fs";
import { dirname, sep } from "node:path";

/** Whether two paths refer to the same regular file or block device. */
export function isSameFile(a: string, b: string): boolean {
  const [one, two] = [a, b].map((path) => statOf(path));
  if (one === undefined || two === undefined || !(one.isFile() || one.isBlockDevice())) return false;
  return one.ino === two.ino && one.dev === two.dev && one.rdev === two.rdev;
}

/** Whether writing `out` would replace the file `input`, or a file in the folder `input`. */
export function wouldReplace(out: string, input: string): boolean {
  const [there, read] = [out, input].map((path) => statOf(path));
  if (there === undefined || read === undefined) return false;
  if (!read.isDirectory()) return isSameFile(out, input);
  return there.isFile() && `${dirname(realpathSync(out))}${sep}`.startsWith(`${realpathSync(input)}${sep}`);
}

/** Undefined where the path does not exist or cannot be examined; opening it reports the error. */
function statOf(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false, bigint: true });
  } catch {
    return undefined;
  }
}
