/** `node dist/tools/recording/main.js [NAME...]`: makes the recordings of the corpus again, or the named ones. */
import { makeAgain, writeRecorded } from "../capture/recorded.js";
import type { QemuBinary } from "../qemu/find.js";
import { recipes, type Recipe } from "./machines.js";
import { record } from "./record.js";

async function make(recipe: Recipe, qemu: QemuBinary): Promise<number> {
  const { connections, sequence, truth } = await record(qemu, recipe);
  const channels = connections.map((bytes) => ({ file: nameOf(bytes), bytes }));
  const { shows, capabilities, parameters, rounds } = recipe;
  const how = { shows, capabilities, parameters, rounds };
  return writeRecorded(recipe, qemu.banner, { channels, sequence, truth }, how);
}

/** `main.bin` or `multifd-N.bin`, by the first bytes. */
function nameOf(bytes: Buffer): string {
  return bytes.readUInt32BE(0) === 0x11223344 ? `multifd-${bytes[24]}.bin` : "main.bin";
}

await makeAgain(recipes, make);
