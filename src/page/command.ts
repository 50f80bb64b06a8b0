import { commandLines } from "../analyse/explain/shell.js";
import type { Opening } from "./protocol.js";

/** The command line of `qevm` that prints the same. */
export function commandOf({ name, snapshot }: Opening, command: string, ...args: string[]): string {
  const options = snapshot === undefined ? [] : ["--snapshot", snapshot];
  return commandLines(["qevm", command, name, ...args, ...options], "").join("\n");
}
