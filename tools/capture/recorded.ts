/** Entries of the corpus that are recordings: made again from their recipes, and written. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { constants, gzipSync } from "node:zlib";
import { projectRoot } from "../corpus.js";
import { findQemu, type QemuBinary } from "../qemu/find.js";
import { commonArguments } from "../qemu/process.js";
import { sha256Of } from "../sha256.js";

/** What every recipe of a recording has. */
interface RecordingRecipe {
  name: string;
  /** Version of QEMU. */
  qemu: string;
  args: readonly string[];
  files: Readonly<Record<string, Uint8Array>>;
}

/** A recording as it was made. */
interface RecordedEntry {
  channels: readonly { file: string; bytes: Uint8Array }[];
  sequence: unknown;
  truth: unknown;
}

/**
 * Makes the recipes named on the command line, or all, and ends the process: with 1 where one failed. A recipe whose
 * QEMU is not here is skipped, in words.
 */
export async function makeAgain<R extends RecordingRecipe>(
  recipes: readonly R[],
  make: (recipe: R, qemu: QemuBinary) => Promise<number>,
): Promise<never> {
  const wanted = process.argv.slice(2);
  let failed = 0;
  for (const recipe of recipes.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
    const qemu = findQemu(recipe.qemu);
    if (qemu === undefined) {
      console.log(`${recipe.name}: skipped, no QEMU ${recipe.qemu} here (see QEVM_QEMU_ROOTS in spec/20-corpus.md)`);
      continue;
    }
    try {
      console.log(`${recipe.name}: ${await make(recipe, qemu)} bytes packed`);
    } catch (error) {
      failed++;
      console.error(`${recipe.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  process.exit(failed === 0 ? 0 : 1);
}

/** JSON as the corpus has it. */
export function pretty(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}

/** As small as gzip makes it. */
export function packed(bytes: Uint8Array): Buffer {
  return gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION });
}

/**
 * Writes the entry's folder. @param how more for `capture.json`
 * @returns bytes of the channels, packed
 */
export function writeRecorded(
  { name, qemu: version, args, files }: RecordingRecipe,
  banner: string,
  { channels, sequence, truth }: RecordedEntry,
  how: object,
): number {
  const folder = join(projectRoot(), "corpus", name);
  mkdirSync(folder, { recursive: true });
  let total = 0;
  for (const { file, bytes } of channels) {
    const small = packed(bytes);
    total += small.length;
    writeFileSync(join(folder, `${file}.gz`), small);
  }
  const capture = {
    name,
    ...how,
    qemu: banner,
    version,
    command: ["qemu-system-x86_64", ...commonArguments, ...args],
    files: Object.entries(files).map(([file, bytes]) => ({ name: file, sha256: sha256Of(bytes) })),
    channels: channels.map(({ file, bytes }) => ({ file, length: bytes.length, sha256: sha256Of(bytes) })),
  };
  const list = { version: 1, channels: channels.map(({ file }) => ({ file })), sequence };
  writeFileSync(join(folder, "capture.json"), pretty(capture));
  writeFileSync(join(folder, "truth.json"), pretty(truth));
  writeFileSync(join(folder, "recording.json"), `${JSON.stringify(list)}\n`);
  return total;
}
