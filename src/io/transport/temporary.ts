import { randomBytes } from "node:crypto";
import { closeSync, constants, mkdirSync, openSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { attempt, writeAll } from "./attempt.js";
import { rememberUnfinished } from "./unfinished.js";

/**
 * Creates all files and folders of this program, temporary or not. They can contain guest memory: other users must not
 * read them, and a folder or link that another user created in advance must not be used.
 */

/** Mode of created files: owner only. */
const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** Characters of the target's name that the temporary name repeats: at most 180 of the 255 bytes of a file name. */
const STEM = 60;

/** An unpredictable name in `folder`. */
function temporaryName(folder: string, stem: string): string {
  return join(folder, `.${stem.slice(0, STEM)}.${randomBytes(9).toString("base64url")}.partial`);
}

/** Matches the temporary names of an output, and those of scratch files, whose stems begin with `qevm-`. */
export function temporaryPattern(output: string): RegExp {
  const plain = output.slice(0, STEM).replace(/[$()*+.?[\\\]^{|}]/gu, String.raw`\$&`);
  return new RegExp(String.raw`^\.(?:${plain}|qevm-[a-z]+)\.[\w-]{12}\.partial$`, "u");
}

function openNew(path: string): number {
  const { O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } = constants;
  return openSync(path, O_CREAT | O_EXCL | O_NOFOLLOW | O_RDWR, FILE_MODE);
}

/** Creates a new file, mode 0600, for reading and writing. The caller closes it. Errors: io. */
export function createFile(path: string): number {
  return attempt(path, () => openNew(path));
}

/** Creates a new file, mode 0600, with these contents. Errors: io. */
export function writeNewFile(path: string, content: Uint8Array | string): void {
  const fd = createFile(path);
  try {
    writeAll(path, fd, typeof content === "string" ? Buffer.from(content) : content, null);
  } finally {
    closeSync(fd);
  }
}

/** Creates a new folder, mode 0700, in an existing one. Errors: io. */
export function createFolder(path: string): void {
  attempt(path, () => mkdirSync(path, { mode: FOLDER_MODE }));
}

/**
 * Creates a folder and its missing parents, mode 0700. Does not use `mkdirSync` with `recursive`: in a folder such as
 * /proc, where nothing can be created, Node 20 loops forever. Errors: io.
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

/** A temporary file or folder beside an output. It is removed when the process exits before `forget` or `remove`. */
interface Temporary {
  readonly path: string;
  /** It was renamed: keep it. */
  forget(): void;
  /** Removes it recursively. Safe to call again. */
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

/** Creates an empty folder, mode 0700, in `parent`. Errors: io, which name `parent`. */
export function temporaryFolder(parent: string, stem: string): TemporaryFolder {
  const path = temporaryName(parent, stem);
  attempt(`temporary folder in ${parent}`, () => mkdirSync(path, { mode: FOLDER_MODE }));
  return temporaryAt(path);
}

/** Creates an empty file, mode 0600, in `parent`, open for reading and writing. Errors: io, which name `parent`. */
export function temporaryFile(parent: string, stem: string): Temporary & { readonly fd: number } {
  const path = temporaryName(parent, stem);
  const fd = attempt(`temporary file in ${parent}`, () => openNew(path));
  return { ...temporaryAt(path), fd };
}

/** The system's folder for temporary files ($TMPDIR); errors of `temporaryFolder` name it. */
export function systemFolder(): string {
  return tmpdir();
}
