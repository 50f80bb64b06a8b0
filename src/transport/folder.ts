import { mkdirSync, readdirSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { QevmError } from "../errors.js";
import { attempt, rememberUnfinished } from "./file.js";

/**
 * A folder that appears under its name whole or not at all: files go into a temporary folder beside it, `commit` renames. It
 * must not exist yet, or be empty.
 */
export class AtomicFolder {
  readonly temporary: string;
  private readonly path: string;
  private readonly existed: boolean;
  private readonly unfinished: { forget(): void };
  private left = false;

  /** Errors: usage, io. */
  constructor(path: string) {
    this.path = resolve(path);
    this.existed = exists(this.path);
    this.temporary = join(dirname(this.path), `.${basename(this.path)}.${process.pid}.partial`);
    attempt(path, () => mkdirSync(dirname(this.path), { recursive: true }));
    attempt(path, () => mkdirSync(this.temporary));
    this.unfinished = rememberUnfinished(this.temporary);
  }

  commit(): void {
    if (this.existed) attempt(this.path, () => rmdirSync(this.path));
    attempt(this.path, () => renameSync(this.temporary, this.path));
    this.unfinished.forget();
  }

  /** Leaves what was written under its temporary name, which it returns: its own name cannot be had. */
  leave(): string {
    this.left = true;
    this.unfinished.forget();
    return this.temporary;
  }

  /** Removes what was written. Safe after `commit`. */
  abort(): void {
    if (this.left) return;
    rmSync(this.temporary, { recursive: true, force: true });
    this.unfinished.forget();
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
