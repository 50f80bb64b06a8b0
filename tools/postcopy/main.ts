/**
 * `node dist/tools/postcopy/main.js [NAME...]`: makes the postcopy recordings of the corpus again, or the named ones.
 */
import { makeAgain, writeRecorded } from "../capture/recorded.js";
import type { QemuBinary } from "../qemu/find.js";
import { recordPostcopy, type PostcopyRecipe } from "./record.js";
import { recipes } from "./recipes.js";
import type { RelayedChannel } from "./relay.js";

async function make(recipe: PostcopyRecipe, qemu: QemuBinary): Promise<number> {
  const { channels, sequence, truth, source } = await recordPostcopy(qemu, recipe);
  const files = channels.map((channel) => ({ file: fileOf(channel), bytes: channel.bytes }));
  const { shows, capabilities, parameters, rounds, runs, breaks } = recipe;
  const how = { shows, capabilities, parameters, rounds, runs, breaks, source };
  return writeRecorded(recipe, qemu.banner, { channels: files, sequence, truth }, how);
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

await makeAgain(recipes, make);
