import type * as NodeFs from "node:fs";
import { QevmError } from "../bytes/errors.js";

/** The bytes of a file beside this one: read in Node, fetched elsewhere. Errors: io. */
export async function readBeside(name: keyof typeof PLACES): Promise<Uint8Array<ArrayBuffer>> {
  const url = PLACES[name]();
  // Loaded at run time so that bundlers for the browser do not see its name.
  const fs = globalThis.process?.getBuiltinModule?.("node:fs") as typeof NodeFs | undefined;
  if (fs !== undefined) return new Uint8Array(fs.readFileSync(url));
  const response = await fetch(url);
  if (!response.ok) throw new QevmError("io", `${name} is not at ${url.href} (status ${response.status})`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Each URL in the form that bundlers recognise, which copy the file. */
const PLACES = {
  "page.wasm": () => new URL("./page.wasm", import.meta.url),
  "page-simd.wasm": () => new URL("./page-simd.wasm", import.meta.url),
  "unzstd-shared.wasm": () => new URL("./unzstd-shared.wasm", import.meta.url),
  "zstd-compress.wasm.gz": () => new URL("./zstd-compress.wasm.gz", import.meta.url),
} as const;
