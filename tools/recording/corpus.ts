/** The recordings of the corpus, for tests. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Truth } from "../capture/truth.js";
import { projectRoot } from "../corpus.js";

/** One recording: a folder with every channel gzipped. */
export interface Recording {
  readonly name: string;
  readonly version: string;
  readonly truth: Omit<Truth, "destination">;
  /** Names without ".gz", `main.bin` first. */
  readonly files: readonly string[];
  /** A channel's bytes, decompressed anew by every call. */
  readonly open: (file: string) => Buffer;
}

/** Every recording in alphabetical order. */
export function listRecordings(): Recording[] {
  const corpus = join(projectRoot(), "corpus");
  return readdirSync(corpus)
    .filter((name) => existsSync(join(corpus, name, "main.bin.gz")))
    .toSorted()
    .map((name) => load(join(corpus, name), name));
}

/** One recording by name. */
export function recordingNamed(name: string): Recording {
  return load(join(projectRoot(), "corpus", name), name);
}

function load(folder: string, name: string): Recording {
  const json = (file: string): unknown => JSON.parse(readFileSync(join(folder, file), "utf8"));
  const files = readdirSync(folder)
    .filter((file) => file.endsWith(".bin.gz"))
    .map((file) => file.slice(0, -3))
    .toSorted();
  return {
    name,
    version: (json("capture.json") as { version: string }).version,
    truth: json("truth.json") as Recording["truth"],
    files,
    open: (file) => gunzipSync(readFileSync(join(folder, `${file}.gz`))),
  };
}

/** Unpacks a recording into a new folder, with its `recording.json`. */
export function unpackRecording(recording: Recording, folder: string): void {
  mkdirSync(folder, { recursive: true });
  for (const file of recording.files) writeFileSync(join(folder, file), recording.open(file));
  const list = join(projectRoot(), "corpus", recording.name, "recording.json");
  writeFileSync(join(folder, "recording.json"), readFileSync(list));
}
