import {
  closeSync,
  constants,
  existsSync,
  fchmodSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { dirname } from "node:path";
import { QevmError } from "../../bytes/errors.js";
import { attempt, writeAll } from "./attempt.js";
import { systemFolder } from "./temporary.js";
import { letSignalsBe } from "./unfinished.js";

/** The target of an output, and the place of its temporary file. */
export interface OutputPlace {
  /** The real file, where the name is a link. */
  readonly path: string;
  /** A folder on a file system from which a finished file can be renamed into place. */
  readonly folder: string;
  /** A device or pipe: written to at the end, and never replaced. */
  readonly special: boolean;
  /** Mode of the replaced file. It is kept, so that access does not widen. */
  readonly mode: number | undefined;
}

/** Examines the name of an output. Errors: io (including: it is a folder), usage (an empty name). */
export function outputPlace(path: string): OutputPlace {
  if (path === "") throw new QevmError("usage", "the output has an empty name");
  const stat = attempt(path, () => statSync(path, { throwIfNoEntry: false }));
  if (stat === undefined) {
    const folder = dirname(path);
    if (path.endsWith("/")) throw new QevmError("usage", `${path} is a folder, but the output is a file`);
    if (!existsSync(folder)) throw new QevmError("io", `${path}: there is no folder ${folder}`);
    return { path, folder, special: false, mode: undefined };
  }
  if (stat.isDirectory()) throw new QevmError("io", `${path} is a folder`);
  if (!stat.isFile()) return { path, folder: systemFolder(), special: true, mode: undefined };
  const file = attempt(path, () => realpathSync(path));
  return { path: file, folder: dirname(file), special: false, mode: stat.mode & 0o7777 };
}

/** Renames a finished file to its place; a device or pipe gets its bytes. Errors: io. */
export function moveInto(finished: string, { path, special, mode }: OutputPlace): void {
  if (special) {
    // Opening a pipe blocks until it has a reader.
    letSignalsBe();
    copyInto(finished, path);
    rmSync(finished, { force: true });
    return;
  }
  if (mode !== undefined) attempt(path, () => setMode(finished, mode));
  attempt(path, () => renameSync(finished, path));
}

/** Through a descriptor, so that links are not followed. */
function setMode(path: string, mode: number): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    fchmodSync(fd, mode);
  } finally {
    closeSync(fd);
  }
}

function copyInto(finished: string, path: string): void {
  const from = attempt(finished, () => openSync(finished, "r"));
  try {
    const to = attempt(path, () => openSync(path, "w"));
    try {
      const piece = Buffer.allocUnsafe(1 << 20);
      for (;;) {
        const bytes = attempt(finished, () => readSync(from, piece));
        if (bytes === 0) return;
        writeAll(path, to, piece.subarray(0, bytes), null);
      }
    } finally {
      closeSync(to);
    }
  } finally {
    closeSync(from);
  }
}
