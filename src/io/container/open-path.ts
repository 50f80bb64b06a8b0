import { openSource } from "../transport/file.js";
import { isFolder } from "./is-folder.js";
import { openContainers } from "./open.js";
import type { Input, InputOptions } from "./types.js";

/**
 * Opens a path, or `-` for standard input, through its containers. A folder is a recording. Errors: io, and as
 * `openContainers`.
 */
export async function openPath(path: string, options: InputOptions = {}): Promise<Input> {
  if (isFolder(path)) {
    const { merged, recordingOptions } = await import("./open-folder.js");
    const { openRecording } = await import("./recording.js");
    return await merged(openRecording(path, recordingOptions(options)), options);
  }
  const source = openSource(path);
  try {
    return await openContainers(source, options);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}
