/** Stands for `io/catalogue/load.ts`: the shipped catalogue, which the build puts into the worker. */
import { Catalogue, parseCatalogue } from "../../codec/vmstate/catalogue/index.js";

/** Set by the build: the catalogue's text, gzipped. */
declare const CATALOGUE: Uint8Array<ArrayBuffer>;

let loaded: Promise<Catalogue> | undefined;

/** Read once. */
export async function loadCatalogue(): Promise<Catalogue> {
  loaded ??= unpacked().then((text) => new Catalogue(parseCatalogue(text)));
  return await loaded;
}

async function unpacked(): Promise<string> {
  const stream = new Blob([CATALOGUE]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new TextDecoder("latin1").decode(await new Response(stream).arrayBuffer());
}
