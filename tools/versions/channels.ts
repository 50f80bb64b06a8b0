/** Features whose stream has several connections: recorded, verified, merged, re-encoded, sent to a destination. */
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../src/bytes/errors.js";
import { openInput, openRecording } from "../../src/io/container/index.js";
import { type RecordingInspection, verifyRecording } from "../../src/analyse/inspect/recording.js";
import { ChannelReader, encodeChannelItem } from "../../src/codec/multifd/index.js";
import { MemorySink, MemorySource, QemuFileWriter } from "../../src/bytes/index.js";
import type { Truth } from "../capture/truth.js";
import { blockHashes, compare } from "../destination/compare.js";
import { startDestination } from "../destination/destination.js";
import type { QemuBinary } from "../qemu/find.js";
import type { QemuProcess } from "../qemu/process.js";
import type { Recipe } from "../recording/machines.js";
import { record } from "../recording/record.js";
import type { Feature, Proven } from "./feature.js";
import { attempted, differing, hashesOf, judge, type Once } from "./judge.js";
import { reencode } from "./reencode.js";

/** A feature as a recipe of the recordings. */
export interface ChannelFeature extends Omit<Recipe, "shows" | "qemu"> {
  readonly without?: (version: string) => string | undefined;
  /** Whether the recording contains the feature. */
  readonly holds: (found: RecordingInspection) => boolean;
}

/** A row from a recipe. */
export function channels(feature: ChannelFeature): Feature {
  const { name, capabilities, without } = feature;
  return {
    name,
    needs: capabilities,
    ...(without === undefined ? {} : { without }),
    prove: async (qemu): Promise<Proven> => await attempted(() => prove(feature, qemu)),
  };
}

async function prove(feature: ChannelFeature, qemu: QemuBinary): Promise<Once> {
  const { connections, truth } = await record(qemu, { ...feature, shows: feature.name, qemu: qemu.version });
  const folder = mkdtempSync(join(tmpdir(), "qevm-matrix-"));
  try {
    const place = join(folder, "recording");
    mkdirSync(place);
    connections.forEach((bytes, k) => writeFileSync(join(place, `connection-${k}`), bytes));
    const verified = await verifyRecording(openRecording(place));
    if (!feature.holds(verified.inspection)) {
      throw new QevmError("bad-value", `the recording holds nothing of "${feature.name}"`);
    }
    const read = await hashesOf(await openInput(place));
    const again = await Promise.all(connections.map(written));
    const { found, held, error } = await load(feature, qemu, again, truth);
    return judge({ ...verified, wrong: differing(truth, read, {}), read, held, found, error });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A connection's bytes, re-encoded from its fields. */
async function written(bytes: Buffer): Promise<Uint8Array> {
  if (bytes.readUInt32BE(0) !== 0x11223344) return (await reencode(bytes)).bytes;
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  for await (const item of new ChannelReader(new MemorySource(bytes))) encodeChannelItem(writer, item);
  await writer.finish();
  return sink.bytes();
}

async function load(
  { args, files, capabilities, parameters }: ChannelFeature,
  qemu: QemuBinary,
  connections: readonly Uint8Array[],
  truth: Omit<Truth, "destination">,
): Promise<Pick<Parameters<typeof judge>[0], "found" | "held" | "error">> {
  const { vm, result } = await startDestination({
    qemu,
    args,
    files,
    capabilities,
    parameters,
    stream: "unix:$DIR/incoming.sock",
    onListening: async (destination) => await send(destination, connections),
  });
  try {
    if (!result.loaded) return { found: undefined, held: new Map(), error: result.error };
    return { found: await compare(vm, truth), held: await blockHashes(vm), error: "" };
  } finally {
    await vm.close();
  }
}

/**
 * Connects in the source's order, then sends everything. If the destination closes early, its error text is reported.
 */
async function send(vm: QemuProcess, connections: readonly Uint8Array[]): Promise<void> {
  for (const bytes of connections) {
    const socket = connect(vm.file("incoming.sock"));
    socket.on("error", () => socket.destroy());
    await once(socket, "connect");
    socket.write(bytes);
    // An older destination takes the first connection as the main one, so it must arrive first.
    await sleep(20);
  }
}
