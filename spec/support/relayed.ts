/** Live migrations from one QEMU through `qevm relay` to another. */
import { join } from "node:path";
import type { Test } from "tape";
import { dirtyFirmware, direct } from "../../tools/capture/entries/parts.js";
import { runStep, waitGuest } from "../../tools/capture/steps.js";
import { takeTruth, type Truth } from "../../tools/capture/truth.js";
import { compare, startDestination, type Destination } from "../../tools/destination/index.js";
import type { QemuBinary } from "../../tools/qemu/find.js";
import type { QemuProcess } from "../../tools/qemu/process.js";
import { migrateTo, startSource } from "../../tools/recording/record.js";
import type { JsonObject } from "../../src/io/transport/qmp.js";
import { qevm, type Ended } from "./program.js";
import { freePort, listening } from "./receiving.js";
import { flatDocument } from "./document.js";

export const LIVE = { args: direct("pc-i440fx-7.2"), files: { "bios.img": dirtyFirmware.content() }, rounds: 3 };

/** Compressed, its rounds are short. */
export const SHORT = { ...LIVE, rounds: 2 };

export interface Side {
  readonly capabilities?: readonly string[];
  readonly parameters?: JsonObject;
  /** Arguments and files beside the machine's, as for credentials in `$DIR`. */
  readonly more?: { readonly args: readonly string[]; readonly files: Readonly<Record<string, Uint8Array>> };
}

export interface Way {
  readonly source: Side;
  readonly destination: Side & { readonly args?: readonly string[]; readonly timeout?: number };
  /** What `qevm relay` is told beside the URIs; `$DIR` is a folder. */
  readonly options: readonly string[];
  readonly machine?: { args: readonly string[]; files: Readonly<Record<string, Uint8Array>>; rounds?: number };
  /** How the source migrates; default: to the end, live where the machine says so. */
  readonly migrate?: (vm: QemuProcess, uri: string) => Promise<void>;
}

export interface Outcome {
  readonly ended: Ended;
  readonly folder: string;
  readonly loaded: Destination;
  /** What the source held after its migration; undefined: it failed. */
  readonly truth: Omit<Truth, "destination"> | undefined;
  readonly failure: unknown;
}

/** On a busy machine the guest may write less than is sent meanwhile: there are fewer rounds, all the rest is equal. */
function endedEarly(error: unknown): void {
  if (!/ended before round/u.test(String(error))) throw error;
}

/** A live migration from one QEMU through `qevm relay` to another. */
export async function through(
  from: QemuBinary,
  to: QemuBinary,
  way: Way,
  use: (outcome: Outcome) => Promise<void>,
): Promise<void> {
  const machine = way.machine ?? LIVE;
  const withMore = ({ more }: Side): { args: readonly string[]; files: Readonly<Record<string, Uint8Array>> } => ({
    args: [...machine.args, ...(more?.args ?? [])],
    files: { ...machine.files, ...more?.files },
  });
  const target = `tcp:127.0.0.1:${await freePort()}`;
  const closing: QemuProcess[] = [];
  let truth: Outcome["truth"];
  let failure: unknown;
  try {
    await listening(["relay", "tcp:127.0.0.1:0", target, ...way.options], async ({ uri, folder, child, ended }) => {
      const onListening = async (): Promise<void> => {
        const vm = await startSource(from, withMore(way.source));
        closing.push(vm);
        const recipe = { ...machine, capabilities: [], parameters: {}, ...way.source };
        try {
          if (way.migrate === undefined) await migrateTo(vm, uri, recipe).catch(endedEarly);
          else await way.migrate(vm, uri);
          await runStep(vm, { wait: "completed" });
          truth = await takeTruth(vm, null);
        } catch (error) {
          failure = error;
          // A relay without a source waits for one.
          setTimeout(() => child.kill("SIGKILL"), 60_000).unref();
        }
      };
      const destination = { qemu: to, ...withMore(way.destination), ...way.destination, stream: target, onListening };
      const loaded = await startDestination(destination);
      closing.push(loaded.vm);
      await use({ ended: await ended(), folder, loaded, truth, failure });
    });
  } finally {
    for (const vm of closing) await vm.close();
  }
}

/** Checks that a guest arrived as it left, with what `--out` wrote down. Whether it can be compared at all. */
export async function arrived(t: Test, way: Way, outcome: Outcome): Promise<boolean> {
  const { ended, folder, loaded, truth, failure } = outcome;
  t.equal(ended.code, 0, ended.stderr);
  t.equal(loaded.result.status, "completed", loaded.result.error);
  if (truth === undefined) {
    t.fail(`the source: ${String(failure)}`);
    return false;
  }
  const { differentBlocks, equalBlocks } = await compare(loaded.vm, truth);
  // QEMU 7.2 under TCG sometimes does not mark a page that a running guest writes as dirty.
  const most = "rounds" in (way.machine ?? LIVE) ? 1 : 0;
  t.ok(differentBlocks.length <= most, `${equalBlocks.length} blocks as in the source`);
  if (!way.options.includes("--out")) return true;
  const verified = await qevm(["verify", join(folder, "rec"), "--json"]);
  const { identical, opaqueBytes } = flatDocument(verified.stdout) as { identical: boolean; opaqueBytes: number };
  t.deepEqual([identical, opaqueBytes], [true, 0], "what was written down is whole, and in the clear");
  return true;
}

/** Migrates, and switches to postcopy after the second round. */
export async function switching(
  vm: QemuProcess,
  uri: string,
  capabilities: readonly string[] = [],
  parameters: JsonObject = {},
): Promise<void> {
  await waitGuest(vm);
  const list = ["postcopy-ram", ...capabilities].map((capability) => ({ capability, state: true }));
  await vm.execute("migrate-set-capabilities", { capabilities: list });
  await vm.execute("migrate-set-parameters", { "max-bandwidth": 1 << 20, "downtime-limit": 1, ...parameters });
  await vm.execute("migrate", { uri });
  await runStep(vm, { wait: "rounds", count: 2 });
  await vm.execute("migrate-start-postcopy");
  await runStep(vm, { wait: "completed" });
}
