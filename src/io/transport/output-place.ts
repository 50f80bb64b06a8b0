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

/** Where an output goes, and where what is unfinished of it lies meanwhile. */
export interface OutputPlace {
  /** The file itself, where the name given is a link to it. */
  readonly path: string;
  /** Folder of a file system that a finished file can be renamed from. */
  readonly folder: string;
  /** A device or pipe: it is written to when all is done, and never replaced. */
  readonly special: boolean;
  /** Permissions of the file that is replaced: who could not read that one shall not read this one. */
  readonly mode: number | undefined;
}

/** Looks at what stands under an output's name. Errors: io (a folder, too), usage (an empty name). */
export function outputPlace(path: string): OutputPlace {
  if (path === "") throw new QevmError("usage", "the output has an empty name");
  const stat = attempt(path, () => statSync(path, { throwIfNoEntry: false }));
  if (stat === undefined) {
    const folder = dirname(path);
    if (path.endsWith("/")) throw new QevmError("usage", `${path} names a folder, and this makes a file`);
    if (!existsSync(folder)) throw new QevmError("io", `${path}: there is no folder ${folder}`);
    return { path, folder, special: false, mode: undefined };
  }
  if (stat.isDirectory()) throw new QevmError("io", `${path} is a folder`);
  if (!stat.isFile()) return { path, folder: systemFolder(), special: true, mode: undefined };
  const file = attempt(path, () => realpathSync(path));
  return { path: file, folder: dirname(file), special: false, mode: stat.mode & 0o7777 };
}

/** Gives a finished file in the place's folder its name; a device or pipe gets its bytes. Errors: io. */
export function moveInto(finished: string, { path, special, mode }: OutputPlace): void {
  if (special) {
    // Opening a pipe waits for who reads it.
    letSignalsBe();
    copyInto(finished, path);
    rmSync(finished, { force: true });
    return;
  }
  if (mode !== undefined) attempt(path, () => setMode(finished, mode));
  attempt(path, () => renameSync(finished, path));
}

/** By a descriptor: a link is not followed. */
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
