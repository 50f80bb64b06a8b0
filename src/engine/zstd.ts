import type { ZstdDecoder } from "./zstd-decoder.js";
import { NativeZstdDecoder } from "./zstd-native.js";
import { WasmZstdDecoder } from "./zstd-wasm.js";

export type { ZstdDecoder } from "./zstd-decoder.js";

/**
 * Node's own decoder (22.15 and later), which takes three quarters of the time, or the one in WebAssembly. Errors: io,
 * where the WebAssembly file is missing.
 */
export async function createZstdDecoder(): Promise<ZstdDecoder> {
  return NativeZstdDecoder.create() ?? (await WasmZstdDecoder.create());
}
