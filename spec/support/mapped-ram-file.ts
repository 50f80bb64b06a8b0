import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";

/** A mapped-ram file written by a QEMU of that version. */
export function mappedRamFile(version: "10.0" | "11.1" = "10.0"): Buffer {
  const built = fileURLToPath(new URL(".", import.meta.url));
  return gunzipSync(readFileSync(`${built.replace(/dist(?:-cov)?[\\/]spec/u, "spec")}mapped-ram-${version}.gz`));
}
