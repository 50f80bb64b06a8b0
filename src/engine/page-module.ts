import { readBeside } from "./beside.js";

/** One instruction with a vector result: `validate` shows whether this WebAssembly supports SIMD. */
const SIMD_PROBE = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
]);

/** Whether this WebAssembly supports SIMD. */
export function isSimd(): boolean {
  return WebAssembly.validate(SIMD_PROBE);
}

let loaded: Promise<WebAssembly.Module> | undefined;

/**
 * The compiled page engine for this machine, with SIMD where available. It is compiled once; the module may be sent to
 * other threads and passed to `createDeflater` and `createInflater` there.
 */
export function loadPageModule(): Promise<WebAssembly.Module> {
  loaded ??= load(isSimd());
  return loaded;
}

/**
 * The module with or without SIMD, regardless of this machine. Errors: io, where its file is missing.
 */
export async function load(simd: boolean): Promise<WebAssembly.Module> {
  return await WebAssembly.compile(await readBeside(simd ? "page-simd.wasm" : "page.wasm"));
}
