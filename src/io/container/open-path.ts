import { openSource } from "../transport/file.js";
import { isFolder } from "./is-folder.js";
import { openContainers } from "./open.js";
import type { Input, InputOptions } from "./types.js";

/**
 * Opens a path, or `-` for standard input, through its containers. A folder is a recording. Errors: io, and as
 * `openContainers`.
 */
export async function openPath(path: string, options: InputOptions = {}): Promise<Input> {
  if (isFolder(path)) return await (await import("./open-folder.js")).openFolder(path, options);
  const source = openSource(path);
  try {
    return await openContainers(source, options);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}
