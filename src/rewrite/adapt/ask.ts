import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { pipeline } from "node:stream/promises";
import { createWriteStream } from "node:fs";
import { QevmError } from "../../bytes/errors.js";
import { readingOf, type OpenOptions, type StreamInput } from "../../io/container/input.js";
import { FileSource } from "../../io/transport/file.js";
import { openListener } from "../../io/transport/listen-uri.js";
import { PausedQemu } from "../../io/transport/paused-qemu.js";
import { textOf, type JsonObject, type QmpClient } from "../../io/transport/qmp.js";
import { systemFolder, temporaryFolder } from "../../io/transport/temporary.js";
import { askDestination } from "./destination.js";
import { askSubsections } from "./dumped.js";
import { withSource } from "./adapt.js";
import { withReopened } from "./reopened.js";
import { offeredFeatures, type OfferedFeatures } from "./offered.js";
import { planAdapt } from "./plan.js";
import { displayArguments, globalArguments, topologyArguments } from "./properties.js";
import { settingsOf, settle, type Asked } from "./settle.js";
import { survey as surveyOf } from "./survey.js";
import type { PatternFacts, PlacedSetting, Survey } from "./types.js";

/** A pattern that a QEMU was asked for. */
export interface AskedPattern {
  /** The stream that it saved. */
  path: string;
  /** What else it said. */
  facts: PatternFacts;
  /** Program and arguments of the destination, with the properties that the guest needs. */
  command: string[];
  /** Those of the arguments that were not given: `-global virtio-net-pci.vectors=4`. */
  added: string[];
  /** Removes the pattern. */
  remove(): void;
}

/** Seconds that a QEMU may take to start, and to save a machine that has not run. */
const START = 60;
const SAVE = 600;
/** Options of a destination that a pattern must not have, with whether a value follows. */
const DROPPED: ReadonlyMap<string, boolean> = new Map([
  ["incoming", true],
  ["loadvm", true],
  ["daemonize", false],
  ["pidfile", true],
  ["S", false],
]);

/**
 * Starts the destination's QEMU without the stream, asks it what it has, starts it again with the properties that the
 * guest's old machine type set, and has it save itself before its first instruction. With the guest given, properties
 * of the destination's devices that would settle what is refused are set too (`vectors=4`), as far as that helps. The
 * command runs as it is given, but for `-incoming` and the like; `-display none -S -qmp stdio` are added, so nothing
 * else of it may use the standard streams. It runs several times: its disks are opened, and what it connects to (swtpm)
 * has to outlive a connection. Errors: io, with QEMU's own words; with the guest
 * given, as `checkAdapt`.
 * @param command program and arguments
 * @param old machine type of the old stream; undefined: no property is asked for
 * @param guest the old stream, which is read once
 * @param opening how it is read
 * @example
 * const { path, command, remove } = await askPattern(["qemu-system-x86_64", "-machine", "pc"], "pc-i440fx-2.8");
 * console.log(command.join(" "));
 * remove();
 */
export async function askPattern(
  command: readonly string[],
  old: string | undefined,
  guest?: StreamInput,
  opening: OpenOptions = {},
): Promise<AskedPattern> {
  if (guest === undefined) return await askFor(command, old);
  return await withReopened(guest, opening, async (one) => {
    const survey = await withSource(one, (source) => surveyOf(source, readingOf(opening)));
    return await askFor(command, old, survey);
  });
}

/** A QEMU's pattern and what it says beside. */
interface Saved extends Asked {
  readonly path: string;
  readonly facts: PatternFacts;
  readonly full: readonly string[];
}

/** The same with the old stream already surveyed. */
export async function askFor(
  command: readonly string[],
  machine: string | undefined,
  old?: Survey,
): Promise<AskedPattern> {
  const given = withoutIncoming(command);
  const display = displayArguments(old?.sections.map(({ idstr }) => idstr) ?? [], given);
  const base = [...given, ...display, ...topologyArguments(machine, given)];
  const folder = temporaryFolder(systemFolder(), "qevm-adapt");
  try {
    const saveAndAsk = async (qmp: QmpClient, path: string): Promise<OfferedFeatures> => {
      await save(qmp, path);
      return await offeredFeatures(qmp);
    };
    let count = 0;
    const nextPath = (): string => join(folder.path, `pattern-${count++}`);
    const first = await inQemu(base, async (qmp) => {
      const { properties, ...rest } = await askDestination(qmp, machine);
      const globals = globalArguments(properties, base);
      // Without properties to set, this QEMU is the one that is asked for.
      const path = globals.length === 0 ? nextPath() : undefined;
      return { ...rest, globals, path, features: path === undefined ? undefined : await saveAndAsk(qmp, path) };
    });
    const { release, devices, globals } = first;
    const dump = join(folder.path, "vmstate.json");
    // Its devices are the same whatever their properties.
    const subsections = askSubsections([...base, ...globals], dump, dump, START);
    const ask = async (args: readonly string[]): Promise<Saved> => {
      const known = args.length === 0 ? first : undefined;
      const path = known?.path ?? nextPath();
      const full = [...base, ...globals, ...args];
      const features = known?.features ?? (await inQemu(full, async (qmp) => await saveAndAsk(qmp, path)));
      return { path, full, devices, facts: { release, features, subsections: await subsections } };
    };
    const wants = async ({ path, facts }: Saved, apart: ReadonlySet<string>): Promise<PlacedSetting[]> => {
      if (old === undefined) return [];
      const pattern = await withSource({ open: () => FileSource.open(path) }, (source) => surveyOf(source, {}));
      return settingsOf(planAdapt(old, pattern, { ...facts, apart }).changes);
    };
    const { asked, apart } = await settle(ask, wants);
    const facts = { ...asked.facts, apart };
    return {
      path: asked.path,
      facts,
      command: [...asked.full],
      added: asked.full.slice(given.length),
      remove: () => folder.remove(),
    };
  } catch (error) {
    folder.remove();
    throw error;
  }
}

/** The command of a destination as one of a source. */
export function withoutIncoming(command: readonly string[]): string[] {
  const kept: string[] = [];
  for (let i = 0; i < command.length; i++) {
    const name = /^--?([a-zA-Z]\w*)$/u.exec(command[i]!)?.[1];
    const value = name === undefined ? undefined : DROPPED.get(name);
    if (value === undefined) kept.push(command[i]!);
    else if (value) i++;
  }
  return kept;
}

async function inQemu<T>(command: readonly string[], work: (qmp: QmpClient) => Promise<T>): Promise<T> {
  const qemu = new PausedQemu(command);
  try {
    return await work(await qemu.monitor(START));
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    const end = await Promise.race([qemu.ended, sleep(1000, undefined, { ref: false })]);
    const words = end?.missing ?? qemu.text.trim();
    // One that still runs has only warned: what failed is the error's.
    const what = [...(end === undefined || words === "" ? [error.what] : []), ...(words === "" ? [] : [words])];
    throw new QevmError("io", `${command[0] ?? ""}: ${what.join("; it also said: ")}`, { cause: error });
  } finally {
    await qemu.stop();
  }
}

/** Has a stopped machine saved into a new file of mode 0600. */
async function save(qmp: QmpClient, path: string): Promise<void> {
  const uri = `unix:${path}.sock`;
  let written: Promise<void> | undefined;
  const listening = await openListener(uri, ({ input }) => {
    written ??= pipeline(input, createWriteStream(path, { mode: 0o600, flags: "wx" }));
    written.catch(() => undefined);
  });
  try {
    await qmp.execute("migrate", { uri });
    for (const until = Date.now() + SAVE * 1000; ; await sleep(20)) {
      const info = (await qmp.execute("query-migrate")) as JsonObject;
      const status = textOf(info["status"]);
      if (status === "completed") break;
      if (status === "failed" || Date.now() > until) {
        throw new QevmError(
          "io",
          `the destination's QEMU does not save itself: ${textOf(info["error-desc"]) || status}`,
        );
      }
    }
    await written;
  } finally {
    listening.close();
  }
}
