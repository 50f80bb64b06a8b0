/** Stands for `engine/beside.ts`: the build puts the WebAssembly into the worker. */

/** Set by the build, by the names of the files. */
declare const WASM: Readonly<Record<string, Uint8Array<ArrayBuffer>>>;

export function readBeside(name: string): Promise<Uint8Array<ArrayBuffer>> {
  return Promise.resolve(WASM[name]!);
}
