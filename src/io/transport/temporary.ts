import { randomBytes } from "node:crypto";
import { closeSync, constants, mkdirSync, openSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { attempt, writeAll } from "./attempt.js";
import { rememberUnfinished } from "./unfinished.js";

/**
 * Every file and folder that this program makes goes through here, temporary or not. They can hold a guest's memory: nobody else may
 * read them, and nothing that another user put there beforehand is used, neither a folder nor a link.
 */

/** Permissions of what is made: the owner's alone. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** Characters of a target's name that its temporary name repeats: at most 180 bytes of the 255 that a name may have. */
const STEM = 60;

/** A name in `folder` that nobody can foresee. */
function temporaryName(folder: string, stem: string): string {
  return join(folder, `.${stem.slice(0, STEM)}.${randomBytes(9).toString("base64url")}.partial`);
}

/** Stems of what lies beside an output while it is made, whatever the output is called. */
export const SCRATCH_STEMS = ["qevm-memory", "qevm-extract"];

/** Matches the names that `temporaryName` gives for a stem. */
export function temporaryPattern(stem: string): RegExp {
  const plain = stem.slice(0, STEM).replace(/[$()*+.?[\\\]^{|}]/gu, String.raw`\$&`);
  return new RegExp(String.raw`^\.${plain}\.[\w-]{12}\.partial$`, "u");
}

function openNew(path: string): number {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
  return openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, FILE_MODE);
}

/** Makes a file that does not exist yet, mode 0600, for reading and writing. It is the caller's to close. Errors: io. */
export function createFile(path: string): number {
  return attempt(path, () => openNew(path));
}

/** Makes a file that does not exist yet, mode 0600, with these contents. Errors: io. */
export function writeNewFile(path: string, content: Uint8Array | string): void {
  const fd = createFile(path);
  try {
    writeAll(path, fd, typeof content === "string" ? Buffer.from(content) : content, null);
  } finally {
    closeSync(fd);
  }
}

/** Makes a folder that does not exist yet, mode 0700, in one that does. Errors: io. */
export function createFolder(path: string): void {
  attempt(path, () => mkdirSync(path, { mode: FOLDER_MODE }));
}

/**
 * Makes a folder and the ones above it where they are missing, mode 0700. Not `mkdirSync` with `recursive`: in a folder such as /proc,
 * where nothing can be made, Node 20 tries for ever. Errors: io.
 */
export function createFolders(path: string): void {
  const missing: string[] = [];
  for (let at = resolve(path); attempt(path, () => statSync(at, { throwIfNoEntry: false })) === undefined;) {
    missing.push(at);
    if (at === dirname(at)) break;
    at = dirname(at);
  }
  for (const folder of missing.toReversed()) createFolder(folder);
}

/** What is made beside an output until it has its name. It is removed when the process ends before `forget` or `remove`. */
interface Temporary {
  readonly path: string;
  /** It has got another name: it stays. */
  forget(): void;
  /** Removes it with all that is in it. Safe to call again. */
  remove(): void;
}

function temporaryAt(path: string): Temporary {
  const unfinished = rememberUnfinished(path);
  return {
    path,
    forget: () => unfinished.forget(),
    remove: () => {
      rmSync(path, { recursive: true, force: true });
      unfinished.forget();
    },
  };
}

export type TemporaryFolder = Temporary;

/** An empty folder of mode 0700 in `parent`, under a new name. Errors: io, which name `parent`. */
export function temporaryFolder(parent: string, stem: string): TemporaryFolder {
  const path = temporaryName(parent, stem);
  attempt(`temporary folder in ${parent}`, () => mkdirSync(path, { mode: FOLDER_MODE }));
  return temporaryAt(path);
}

/** An empty file of mode 0600 in `parent`, under a new name, open for reading and writing. Errors: io, which name `parent`. */
export function temporaryFile(parent: string, stem: string): Temporary & { readonly fd: number } {
  const path = temporaryName(parent, stem);
  const fd = attempt(`temporary file in ${parent}`, () => openNew(path));
  return { ...temporaryAt(path), fd };
}

/** Where the system wants temporary files ($TMPDIR); errors of `temporaryFolder` name it. */
export function systemFolder(): string {
  return tmpdir();
}
