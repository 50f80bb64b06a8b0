/** zstd's own library, to ask what it says of a frame: the WebAssembly of the package that the build takes it from. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../../tools/corpus.js";

interface Exports {
  readonly memory: WebAssembly.Memory;
  malloc(length: number): number;
  __wasm_call_ctors(): void;
  ZSTD_decompress(into: number, room: number, from: number, length: number): number;
}

/** A function that decompresses frames, of up to `most` bytes of content; undefined: it refuses them. */
export async function zstdLibrary(most: number): Promise<(bytes: Uint8Array) => Uint8Array | undefined> {
  const folder = join(projectRoot(), "node_modules", "@oneidentity", "zstd-js");
  const text = readFileSync(join(folder, "wasm", "decompress", "index.js"), "utf8");
  const [packed = ""] = /AGFzbQ[\w+/]+=*/u.exec(text) ?? [];
  let exports: Exports | undefined;
  const env = {
    emscripten_resize_heap: (wanted: number) => {
      exports!.memory.grow(Math.ceil((wanted - exports!.memory.buffer.byteLength) / 65_536));
      return 1;
    },
    emscripten_memcpy_big: (to: number, from: number, length: number) => {
      new Uint8Array(exports!.memory.buffer).copyWithin(to, from, from + length);
      return to;
    },
    setTempRet0: () => undefined,
  };
  const { instance } = await WebAssembly.instantiate(Buffer.from(packed, "base64"), { env });
  exports = instance.exports as unknown as Exports;
  exports.__wasm_call_ctors();
  const library = exports;
  const [input, output] = [library.malloc(most), library.malloc(most)];
  return (bytes) => {
    new Uint8Array(library.memory.buffer).set(bytes, input);
    const length = library.ZSTD_decompress(output, most, input, bytes.length);
    return length < 0 ? undefined : new Uint8Array(library.memory.buffer, output, length);
  };
}
