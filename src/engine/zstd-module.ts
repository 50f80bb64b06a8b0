import type * as NodeZlib from "node:zlib";
import { readBeside } from "./beside.js";

/** What is used of every instance. */
export interface ZstdExports {
  readonly memory: WebAssembly.Memory;
  malloc(length: number): number;
}

/** Bytes of one WebAssembly memory page. */
const GRAIN = 1 << 16;

let loaded: Promise<WebAssembly.Module> | undefined;

/**
 * An instance of the zstd library's compressor (1.4.8, compiled by the package `@oneidentity/zstd-js`) with its own
 * memory. Errors: io, where the file is missing.
 */
export async function zstdInstance<E extends ZstdExports>(): Promise<E> {
  loaded ??= load();
  let exports: (ZstdExports & { __wasm_call_ctors(): void }) | undefined;
  let all = new Uint8Array(0);
  const env = {
    emscripten_resize_heap: (wanted: number) => (grown(exports!.memory, wanted >>> 0) ? 1 : 0),
    emscripten_memcpy_big: (to: number, from: number, length: number) => {
      // Of 512 bytes and more, which are many: a view for each would be a third of their time.
      if (all.buffer !== exports!.memory.buffer) all = new Uint8Array(exports!.memory.buffer);
      all.copyWithin(to, from, from + length);
      return to;
    },
    setTempRet0: () => undefined,
  };
  const instance = await WebAssembly.instantiate(await loaded, { env });
  exports = instance.exports as unknown as E & { __wasm_call_ctors(): void };
  exports.__wasm_call_ctors();
  return exports as unknown as E;
}

async function load(): Promise<WebAssembly.Module> {
  const packed = await readBeside("zstd-compress.wasm.gz");
  // Loaded at run time so that bundlers for the browser do not see its name. Node's `Response` takes 60 ms to load.
  const zlib = globalThis.process?.getBuiltinModule?.("node:zlib") as typeof NodeZlib | undefined;
  if (zlib !== undefined) return await WebAssembly.compile(new Uint8Array(zlib.gunzipSync(packed)));
  const plain = new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")));
  return await WebAssembly.compile(await plain.arrayBuffer());
}

function grown(memory: WebAssembly.Memory, wanted: number): boolean {
  try {
    memory.grow(Math.ceil((wanted - memory.buffer.byteLength) / GRAIN));
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
