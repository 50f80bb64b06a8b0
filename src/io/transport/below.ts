import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync, type BigIntStats } from "node:fs";
import { join, sep } from "node:path";
import { QevmError } from "../../bytes/errors.js";
import { attempt } from "./attempt.js";

/**
 * Opens a plain file below an untrusted folder. No component of `file` may be a symbolic link, so nothing outside the
 * folder is read. Devices and pipes, which could block, are refused. The folder itself may be a link. Hard links cannot
 * be distinguished from files. The caller closes the descriptor. Errors: io; bad-value (a link, or not a plain file).
 * @param file relative path; errors begin with it
 */
export function openBelow(folder: string, file: string): number {
  checkSteps(folder, file);
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  // O_NONBLOCK: do not block if the file was replaced by a pipe meanwhile.
  const fd = attempt(file, () => openSync(join(folder, file), flags));
  try {
    // A link may have been put in place and removed again between the two calls, so the descriptor must be the file
    // that is there now.
    const there = checkSteps(folder, file);
    const opened = attempt(file, () => fstatSync(fd, { bigint: true }));
    if (opened.ino !== there.ino || opened.dev !== there.dev)
      throw new QevmError("io", `${file}: it changed while it was opened`);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** Checks that every component is a folder, the last one a plain file, and none a link. Returns the file's stats. */
function checkSteps(folder: string, file: string): BigIntStats {
  const steps = file.split(sep);
  for (let k = 1; ; k++) {
    const stat = attempt(file, () => lstatSync(join(folder, ...steps.slice(0, k)), { bigint: true }));
    if (k === steps.length && stat.isFile()) return stat;
    if (k === steps.length || !stat.isDirectory()) throw notPlain(file, stat);
  }
}

/** The contents of a plain file below a folder. Errors: as `openBelow`. */
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
  [(stat) => stat.isFile(), "a file instead of a folder"],
];
