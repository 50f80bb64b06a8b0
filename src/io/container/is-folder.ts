import { statSync } from "node:fs";

/** Whether a path is a folder. */
export function isFolder(path: string): boolean {
  return path !== "-" && (statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false);
}
