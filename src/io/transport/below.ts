import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, type BigIntStats } from "node:fs";
import { join, sep } from "node:path";
import { QevmError } from "../../bytes/errors.js";
import { attempt } from "./attempt.js";

/**
 * Opens a plain file below a folder that may come from somebody else: no step of `file` is a symbolic link, so nothing outside the folder
 * is read, and what is opened is no device and no pipe, which could wait for ever. The folder itself may be named by a link. Hard links
 * cannot be told from files. The descriptor is the caller's to close. Errors: io; bad-value (a link, or no plain file).
 * @param file relative path; errors begin with it
 */
export function openBelow(folder: string, file: string): number {
  checkSteps(folder, file);
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  // O_NONBLOCK: what has become a pipe meanwhile is not waited for.
  const fd = attempt(file, () => openSync(join(folder, file), flags));
  try {
    // Somebody may have put a link in the way between the two, and have taken it away again: it must be this file that is there.
    const there = checkSteps(folder, file);
    const opened = attempt(file, () => fstatSync(fd, { bigint: true }));
    if (opened.ino !== there.ino || opened.dev !== there.dev)
      throw new QevmError("io", `${file}: it was changed while it was opened`);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Every step a folder, the last one a plain file, no links. Returns what is known of the file. */
function checkSteps(folder: string, file: string): BigIntStats {
  const steps = file.split(sep);
  for (let k = 1; ; k++) {
    const stat = attempt(file, () => lstatSync(join(folder, ...steps.slice(0, k)), { bigint: true }));
    if (k === steps.length && stat.isFile()) return stat;
    if (k === steps.length || !stat.isDirectory()) throw notPlain(file, stat);
  }
}

/** What a plain file below a folder holds. Errors: as `openBelow`. */
export function readBelow(folder: string, file: string): Buffer {
  const fd = openBelow(folder, file);
  try {
    return attempt(file, () => readFileSync(fd));
  } finally {
    closeSync(fd);
  }
}

function notPlain(file: string, stat: BigIntStats): QevmError {
  const found = KINDS.find(([is]) => is(stat))?.[1] ?? "something else";
  return new QevmError("bad-value", `${file}: only plain files of the folder are read`, {
    expected: "a plain file",
    found,
  });
}

const KINDS: readonly (readonly [is: (stat: BigIntStats) => boolean, what: string])[] = [
  [(stat) => stat.isSymbolicLink(), "a symbolic link"],
  [(stat) => stat.isDirectory(), "a folder"],
  [(stat) => stat.isFIFO(), "a named pipe"],
  [(stat) => stat.isSocket(), "a socket"],
  [(stat) => stat.isCharacterDevice() || stat.isBlockDevice(), "a device"],
  [(stat) => stat.isFile(), "a file where a folder is named"],
];
