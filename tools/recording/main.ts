/** `node dist/tools/recording/main.js [NAME...]`: makes the recordings of the corpus again, or the named ones. */
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { constants, gzipSync } from "node:zlib";
import { projectRoot } from "../corpus.js";
import { findQemu } from "../qemu/find.js";
import { commonArguments } from "../qemu/process.js";
import { recipes, type Recipe } from "./machines.js";
import { record, type Recorded } from "./record.js";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const pretty = (value: unknown): string => `${JSON.stringify(value, undefined, 2)}\n`;
const wanted = process.argv.slice(2);
let failed = 0;
for (const recipe of recipes.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  const qemu = findQemu(recipe.qemu);
  if (qemu === undefined) {
    console.log(`${recipe.name}: skipped, no QEMU ${recipe.qemu} here (see QEVM_QEMU_ROOTS in spec/20-corpus.md)`);
    continue;
  }
  try {
    const recorded = await record(qemu, recipe);
    console.log(`${recipe.name}: ${write(recipe, qemu.banner, recorded)} bytes packed`);
  } catch (error) {
    failed++;
    console.error(`${recipe.name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
process.exit(failed === 0 ? 0 : 1);

function write(recipe: Recipe, banner: string, { connections, sequence, truth }: Recorded): number {
  const folder = join(projectRoot(), "corpus", recipe.name);
  mkdirSync(folder, { recursive: true });
  const names = connections.map((bytes) => nameOf(bytes));
  let packed = 0;
  connections.forEach((bytes, k) => {
    const small = gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION });
    packed += small.length;
    writeFileSync(join(folder, `${names[k]}.gz`), small);
  });
  const { name, shows, args, capabilities, parameters, files, rounds } = recipe;
  const made = Object.entries(files).map(([file, bytes]) => ({ name: file, sha256: sha256(bytes) }));
  const channels = connections.map((bytes, k) => ({ file: names[k], length: bytes.length, sha256: sha256(bytes) }));
  const command = ["qemu-system-x86_64", ...commonArguments, ...args];
  const how = {
    name,
    shows,
    qemu: banner,
    version: recipe.qemu,
    command,
    files: made,
    capabilities,
    parameters,
    rounds,
    channels,
  };
  writeFileSync(join(folder, "capture.json"), pretty(how));
  writeFileSync(join(folder, "truth.json"), pretty(truth));
  writeFileSync(
    join(folder, "recording.json"),
    `${JSON.stringify({ version: 1, channels: names.map((file) => ({ file })), sequence })}\n`,
  );
  return packed;
}

/** `main.bin` or `multifd-N.bin`, by the first bytes. */
function nameOf(bytes: Buffer): string {
  return bytes.readUInt32BE(0) === 0x11223344 ? `multifd-${bytes[24]}.bin` : "main.bin";
}
