import { QevmError } from "../errors.js";

/** Runs a file system call; its failure becomes a typed error with the path. */
export function attempt<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof QevmError) throw error;
    throw new QevmError("io", `${path}: ${textOf(error)}`, { cause: error });
  }
}

/** What an error says. */
export function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
