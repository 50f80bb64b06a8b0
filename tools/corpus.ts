/** The corpus for tests: every entry with its recipe, its ground truth, and its bytes. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { QevmError } from "../src/bytes/errors.js";
import type { Capture } from "./capture/capture.js";
import type { Truth } from "./capture/truth.js";

export type { Capture } from "./capture/capture.js";
export type { BlockTruth, Truth } from "./capture/truth.js";

/** One entry of the corpus. */
export interface CorpusEntry {
  readonly name: string;
  /** Folder of the entry. */
  readonly folder: string;
  readonly capture: Capture;
  readonly truth: Truth;
  /** The stream's bytes, decompressed anew by every call. */
  readonly open: () => Buffer;
}

/** The folder of package.json, regardless of where this file was compiled to. */
export function projectRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const up = dirname(folder);
    if (up === folder) throw new QevmError("io", "no package.json above this program");
    folder = up;
  }
  return folder;
}

/** Every entry in alphabetical order. */
export function listCorpus(): CorpusEntry[] {
  const corpus = join(projectRoot(), "corpus");
  const names = existsSync(corpus) ? readdirSync(corpus).toSorted() : [];
  return names
    .filter((name) => existsSync(join(corpus, name, "stream.gz")))
    .map((name) => load(join(corpus, name), name));
}

/** One entry by name. Throws `QevmError` (usage) when there is none. */
export function corpusEntry(name: string): CorpusEntry {
  const folder = join(projectRoot(), "corpus", name);
  if (!existsSync(join(folder, "stream.gz"))) throw new QevmError("usage", `no corpus entry ${name}`);
  return load(folder, name);
}

function load(folder: string, name: string): CorpusEntry {
  const json = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), "utf8"));
  return {
    name,
    folder,
    capture: json("capture.json") as Capture,
    truth: json("truth.json") as Truth,
    open: () => gunzipSync(readFileSync(join(folder, "stream.gz"))),
  };
}
