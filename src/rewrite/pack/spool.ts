import { join } from "node:path";
import type { ByteSource } from "../../bytes/source.js";
import { GatheredFile } from "./gathered-file.js";

/** An input that cannot be opened again, as a file. */
export async function spool(source: ByteSource, folder: string): Promise<string> {
  const path = join(folder, "stream.partial");
  const file = new GatheredFile(path);
  try {
    const chunk = new Uint8Array(1 << 20);
    for (let n = await source.read(chunk); n > 0; n = await source.read(chunk)) file.write(chunk.subarray(0, n));
    file.flush();
  } finally {
    file.close();
  }
  return path;
}
