/** One postcopy migration between a real source and a real destination, recorded by a relay between them. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../src/bytes/errors.js";
import { runStep, waitGuest } from "../capture/steps.js";
import { takeTruth, type Truth } from "../capture/truth.js";
import { innerPath, type QemuBinary } from "../qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../qemu/process.js";
import { type JsonObject, textOf } from "../../src/io/transport/qmp.js";
import { Relay, type Arrival, type RelayedChannel } from "./relay.js";

/** The machine, and how it is migrated. */
export interface PostcopyRecipe {
  readonly name: string;
  /** One line for the table in corpus/README.md. */
  readonly shows: string;
  /** `major.minor` of the QEMU that makes it. */
  readonly qemu: string;
  /** Arguments of both, after the common ones; `$DIR` is the working folder of each. */
  readonly args: readonly string[];
  readonly files: Readonly<Record<string, Uint8Array>>;
  /** Besides postcopy-ram. */
  readonly capabilities: readonly string[];
  readonly parameters: JsonObject;
  /** Switch to postcopy after the source has synced dirty memory this many times; 0: as soon as pages are sent. */
  readonly rounds: number;
  /** Whether the guest runs on in the destination, and so requests pages. */
  readonly runs: boolean;
  /** Break the connection after the switch and continue over another one. */
  readonly breaks?: boolean;
}

/** A recorded migration. */
export interface RecordedPostcopy {
  readonly channels: readonly RelayedChannel[];
  readonly sequence: readonly Arrival[];
  /** The stopped destination after the last page. */
  readonly truth: Omit<Truth, "destination">;
  /** `query-migrate` of the source when it was done. */
  readonly source: JsonObject;
}

/** Slow enough that pages are left at the switch. */
const SLOW = { "max-bandwidth": 1 << 18, "downtime-limit": 1 };
const TIME_LIMIT = 60_000;

/** Milliseconds of postcopy before a connection is broken. */
const BREAK_AFTER = 150;

/** Migrates and records. Rejects with QEMU's error text where it fails. */
export async function recordPostcopy(qemu: QemuBinary, recipe: PostcopyRecipe): Promise<RecordedPostcopy> {
  const source = await start(qemu, recipe, []);
  let destination: QemuProcess | undefined;
  let relay: Relay | undefined;
  let second: Relay | undefined;
  try {
    destination = await start(qemu, recipe, [...(recipe.runs ? [] : ["-S"]), "-incoming", "defer"]);
    await setUp(destination, recipe, {});
    await destination.execute("migrate-incoming", { uri: "unix:$DIR/in.sock" });
    relay = await Relay.listen(source.file("out.sock"), destination.file("in.sock"));
    if (recipe.files["bios.img"] !== undefined) await waitGuest(source);
    await setUp(source, recipe, { ...SLOW, ...recipe.parameters });
    await source.execute("migrate", { uri: "unix:$DIR/out.sock" });
    await flowing(source, recipe.rounds);
    await source.execute("migrate-start-postcopy");
    if (recipe.breaks === true) {
      await comesTo(source, "postcopy-active");
      await sleep(BREAK_AFTER);
      await source.execute("migrate-pause");
      await comesTo(source, "postcopy-paused");
      await comesTo(destination, "postcopy-paused");
      await relay.ended(5000);
      relay.close();
      await destination.execute("migrate-recover", { uri: "unix:$DIR/in2.sock" });
      second = await relay.next(source.file("out2.sock"), destination.file("in2.sock"));
      await source.execute("migrate-set-parameters", { "max-postcopy-bandwidth": 0 });
      await source.execute("migrate", { uri: "unix:$DIR/out2.sock", resume: true });
    }
    await runStep(source, { wait: "completed" });
    await arrived(destination);
    await (second ?? relay).ended(5000);
    const before = await destination.execute("query-status");
    if (recipe.runs) await destination.execute("stop");
    const truth = await takeTruth(destination, before);
    const told = (await source.execute("query-migrate")) as JsonObject;
    const { channels, sequence } = second ?? relay;
    return { channels, sequence, truth, source: told };
  } finally {
    relay?.close();
    second?.close();
    await destination?.close();
    await source.close();
  }
}

/** Waits until `query-migrate` has the wanted status. */
async function comesTo(vm: QemuProcess, wanted: string): Promise<void> {
  let last = "";
  for (const until = Date.now() + TIME_LIMIT; Date.now() < until; await sleep(10)) {
    last = textOf(((await vm.execute("query-migrate")) as JsonObject)["status"]);
    if (last === wanted) return;
    if (last === "failed" || last === "completed") break;
  }
  throw new QevmError("io", `${wanted} did not come, but ${last}: ${vm.stderr.trim()}`);
}

async function start(qemu: QemuBinary, { args, files }: PostcopyRecipe, more: readonly string[]): Promise<QemuProcess> {
  const folder = makeWorkFolder(qemu);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return await QemuProcess.start(qemu, [...args, ...more], folder);
}

async function setUp(vm: QemuProcess, { capabilities }: PostcopyRecipe, parameters: JsonObject): Promise<void> {
  const list = ["events", "postcopy-ram", ...capabilities].map((capability) => ({ capability, state: true }));
  await vm.execute("migrate-set-capabilities", { capabilities: list });
  if (Object.keys(parameters).length > 0) await vm.execute("migrate-set-parameters", parameters);
}

/** Waits until pages are sent and the rounds are complete. */
async function flowing(vm: QemuProcess, rounds: number): Promise<void> {
  if (rounds > 0) return await runStep(vm, { wait: "rounds", count: rounds });
  for (const until = Date.now() + TIME_LIMIT; Date.now() < until; await sleep(5)) {
    const info = (await vm.execute("query-migrate")) as JsonObject;
    if (textOf(info["status"]) === "active" && Number((info["ram"] as JsonObject)["normal"]) > 0) return;
    if (textOf(info["status"]) === "failed") break;
  }
  throw new QevmError("io", `no page was sent: ${vm.stderr.trim()}`);
}

/** Waits until the destination has all pages. */
async function arrived(vm: QemuProcess): Promise<void> {
  const done = new Set(["completed", "failed"]);
  const event = await vm.qmp.waitEvent("MIGRATION", TIME_LIMIT, (data) => done.has(textOf(data["status"])));
  const status = textOf(event?.data["status"]);
  if (status !== "completed") {
    const where = innerPath(vm.qemu, vm.folder);
    throw new QevmError("io", `the destination in ${where} is ${status || "not done"}: ${vm.stderr.trim()}`);
  }
}
