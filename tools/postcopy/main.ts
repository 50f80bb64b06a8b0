/**
 * `node dist/tools/postcopy/main.js [NAME...]`: makes the postcopy recordings of the corpus again, or the named ones.
 */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { constants, gzipSync } from "node:zlib";
import { projectRoot } from "../corpus.js";
import { findQemu } from "../qemu/find.js";
import { commonArguments } from "../qemu/process.js";
import { recordPostcopy, type PostcopyRecipe, type RecordedPostcopy } from "./record.js";
import { recipes } from "./recipes.js";
import type { RelayedChannel } from "./relay.js";

const pretty = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const wanted = process.argv.slice(2);
let failed = 0;
for (const recipe of recipes.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  const qemu = findQemu(recipe.qemu);
  if (qemu === undefined) {
    console.log(`${recipe.name}: skipped, no QEMU ${recipe.qemu} here (see QEVM_QEMU_ROOTS in spec/20-corpus.md)`);
    continue;
  }
  try {
    console.log(`${recipe.name}: ${write(recipe, qemu.banner, await recordPostcopy(qemu, recipe))} bytes packed`);
  } catch (error) {
    failed++;
    console.error(`${recipe.name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
process.exit(failed === 0 ? 0 : 1);

function write(recipe: PostcopyRecipe, banner: string, recorded: RecordedPostcopy): number {
  const folder = join(projectRoot(), "corpus", recipe.name);
  mkdirSync(folder, { recursive: true });
  const names = recorded.channels.map(fileOf);
  let packed = 0;
  const channels = recorded.channels.map(({ bytes }, k) => {
    const small = gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION });
    packed += small.length;
    writeFileSync(join(folder, `${names[k]}.gz`), small);
    return { file: names[k], length: bytes.length, sha256: sha256(bytes) };
  });
  const { files, ...how } = recipe;
  const made = Object.entries(files).map(([name, bytes]) => ({ name, sha256: sha256(bytes) }));
  const command = ["qemu-system-x86_64", ...commonArguments, ...recipe.args];
  const capture = {
    ...how,
    version: recipe.qemu,
    qemu: banner,
    command,
    files: made,
    channels,
    source: recorded.source,
  };
  writeFileSync(join(folder, "capture.json"), pretty(capture));
  writeFileSync(join(folder, "truth.json"), pretty(recorded.truth));
  const list = { version: 1, channels: names.map((file) => ({ file })), sequence: recorded.sequence };
  writeFileSync(join(folder, "recording.json"), `${JSON.stringify(list)}\n`);
  return packed;
}

/**
 * The main connection is first; its opposite direction is the return path, also on a connection that continues after a
 * break.
 */
function fileOf({ connection, direction, bytes }: RelayedChannel): string {
  const number = connection === 0 ? "" : `-${connection}`;
  if (direction === "back") return `return-path${number}.bin`;
  if (connection === 0) return "main.bin";
  if (bytes[0] === 0x08) return `resumed${number}.bin`;
  return bytes.length > 25 && bytes.readUInt32BE(0) === 0x11223344 ? `multifd-${bytes[24]}.bin` : "preempt.bin";
}
