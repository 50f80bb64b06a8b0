import { chmodSync, readdirSync, realpathSync, renameSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { QevmError } from "../../bytes/errors.js";
import { attempt } from "./attempt.js";
import { createFolders, temporaryFolder, type TemporaryFolder } from "./temporary.js";

/**
 * A folder that is written atomically: files go into a temporary folder beside it, and `commit` renames it. It must not
 * exist, or be empty. A new folder has mode 0700; an existing one keeps its mode.
 */
export class AtomicFolder {
  readonly temporary: string;
  private readonly path: string;
  /** Mode of the empty folder that is replaced. */
  private readonly mode: number | undefined;
  private readonly made: TemporaryFolder;
  private finished = false;

  /** Errors: usage, io. */
  constructor(path: string) {
    const existed = exists(path);
    this.path = existed ? attempt(path, () => realpathSync(path)) : resolve(path);
    this.mode = existed ? attempt(path, () => statSync(path).mode & 0o7777) : undefined;
    createFolders(dirname(this.path));
    this.made = temporaryFolder(dirname(this.path), basename(this.path));
    this.temporary = this.made.path;
  }

  commit(): void {
    const { path, mode, temporary } = this;
    if (mode !== undefined) attempt(path, () => chmodSync(temporary, mode));
    // Only an empty folder can be replaced by a rename.
    attempt(path, () => renameSync(temporary, path));
    this.made.forget();
    this.finished = true;
  }

  /** Keeps the result under its temporary name, which it returns, because the real name cannot be used. */
  leave(): string {
    this.made.forget();
    this.finished = true;
    return this.temporary;
  }

  /** Removes the temporary folder. Does nothing after `commit`. */
  abort(): void {
    if (!this.finished) this.made.remove();
    this.finished = true;
  }
}

function exists(path: string): boolean {
  let entries: string[];
  try {
    entries = readdirSync(path);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw new QevmError("usage", `${path} is not a folder`, { cause: error });
  }
  if (entries.length > 0) throw new QevmError("usage", `${path} is not empty`);
  return true;
}
