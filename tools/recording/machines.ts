/** The sources of the recordings: small, with known memory. */
import { dirtyGuest } from "../guest/patterns.js";
import { firmwareAround } from "../guest/listing.js";
import { direct, mebi, words } from "../capture/entries/parts.js";
import type { JsonObject } from "../../src/io/transport/qmp.js";

/** The recipe of a recording. */
export interface Recipe {
  readonly name: string;
  /** One line for the table in corpus/README.md. */
  readonly shows: string;
  /** `major.minor` of the QEMU that makes it. */
  readonly qemu: string;
  readonly args: readonly string[];
  readonly files: Readonly<Record<string, Uint8Array>>;
  readonly capabilities: readonly string[];
  readonly parameters: JsonObject;
  /** Keep the guest running for at least so many rounds. */
  readonly rounds?: number;
}

const PAGES = 600;

/** Memory of a machine without CPU: zeros, counters, text, sparse and noisy pages, by their number. */
function memoryImage(pages = PAGES): Uint8Array {
  const image = new Uint8Array(pages * 4096);
  const text = new TextEncoder().encode("a page of words that repeat, as text in memory does; ");
  let noise = 1;
  for (let page = 0; page < pages; page++) {
    for (let at = 0; at < 4096; at++) {
      let byte = 0;
      if (page % 5 === 1) byte = (page + at) & 0xff;
      else if (page % 5 === 2) byte = text[(page + at) % text.length]!;
      else if (page % 5 === 3) byte = at % 64 === 0 ? page & 0xff : 0;
      else if (page % 20 === 4 && at < 256)
        byte = (noise = (Math.imul(noise, 1_103_515_245) + 12_345) & 0x7fffffff) >>> 16;
      image[page * 4096 + at] = byte;
    }
  }
  return image;
}

/** `-machine none` with that memory as a private file: the block is named "ram". */
export function still(pages = PAGES): Pick<Recipe, "args" | "files"> {
  const size = `${pages * 4}K`;
  const backend = `memory-backend-file,id=ram,mem-path=$DIR/ram.img,size=${size},share=off`;
  return {
    args: words(`-machine none,memory-backend=ram -m ${size} -nodefaults -object ${backend}`),
    files: { "ram.img": memoryImage(pages) },
  };
}

/** A pc whose firmware writes a little memory in an endless loop. */
export function live(): Pick<Recipe, "args" | "files"> {
  return {
    args: direct("pc"),
    files: {
      "bios.img": firmwareAround(
        dirtyGuest([
          { start: mebi, end: 1.125 * mebi },
          { start: 2 * mebi, end: 2.75 * mebi },
        ]),
      ),
    },
  };
}

function multifd(
  qemu: string,
  method: string,
  channels: number,
  more: Partial<Recipe> & { readonly name: string; readonly shows: string },
): Recipe {
  const parameters = { "multifd-channels": channels, ...(method === "none" ? {} : { "multifd-compression": method }) };
  return { qemu, capabilities: ["multifd"], parameters, ...still(), ...more };
}

/** The recordings of the corpus. */
export const recipes: readonly Recipe[] = [
  multifd("7.2", "none", 2, { name: "recording-7.2-none", shows: "multifd, 2 channels, not compressed" }),
  multifd("7.2", "zlib", 2, { name: "recording-7.2-zlib", shows: "multifd, 2 channels, zlib" }),
  multifd("7.2", "zstd", 2, { name: "recording-7.2-zstd", shows: "multifd, 2 channels, zstd" }),
  multifd("10.0", "zlib", 2, { name: "recording-10.0-zlib", shows: "multifd, zlib, zero pages in the packets" }),
  multifd("10.0", "zstd", 2, { name: "recording-10.0-zstd", shows: "multifd, zstd, zero pages in the packets" }),
  multifd("5.2", "zlib", 2, { name: "recording-5.2-zlib", shows: "multifd, zlib, SYNC on packets with pages" }),
  multifd("11.1", "zstd", 2, { name: "recording-11.1-zstd", shows: "multifd, zstd, zero pages in the packets" }),
  multifd("7.2", "zlib", 3, {
    name: "recording-7.2-live",
    shows: "multifd, 3 channels, zlib, a guest that keeps writing: later rounds overtake earlier ones",
    ...live(),
    rounds: 4,
  }),
  multifd("10.0", "none", 2, {
    name: "recording-10.0-live",
    shows: "multifd, 2 channels, a guest that keeps writing",
    ...live(),
    rounds: 4,
  }),
];
