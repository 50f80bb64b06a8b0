/**
 * Checks whether the destination that `explain` proposes loads the stream, for targets other than x86: each source is
 * started without running and saved to a file. The QEMU that wrote it is then started as the destination with the
 * proposed arguments only.
 *
 *     node dist/tools/advice/targets.js [--only TEXT] [--keep DIR] [--show] [VERSION...]
 *
 * Placeholders (`DRIVE0`, `CHARDEV0`, `BIOS`, ...) get null backends. Prints a table by target and version, and the
 * reason for each failure. `--keep` writes the streams, `--show` the arguments. Exit 1 when less than 95 % of a version
 * load.
 */
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv, exit } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { explainStream, type Explanation } from "../../src/analyse/explain/index.js";
import { MemorySource } from "../../src/bytes/index.js";
import { type JsonObject, textOf } from "../../src/io/transport/qmp.js";
import { startDestination } from "../destination/index.js";
import { findQemus, type QemuBinary } from "../qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../qemu/process.js";
import { emptyFiles, ownThings } from "./placeholders.js";
import { targetLines, type TargetLine } from "./target-lines.js";

/** The result of one command line with one QEMU. */
export interface Outcome {
  readonly line: TargetLine;
  readonly version: string;
  /** "none": this QEMU does not start or save the source, or does not load its stream with its arguments either. */
  readonly kind: "loads" | "fails" | "none";
  readonly why: string;
  /** explain's proposal. */
  readonly advice: readonly string[];
}

/** Time limit for saving a source, milliseconds. */
const LIMIT = 60_000;

/** The stream of a source that never ran. Throws when this QEMU does not start or does not save it. */
export async function saved(qemu: QemuBinary, args: readonly string[]): Promise<Buffer> {
  const folder = makeWorkFolder(qemu);
  makeFiles(folder);
  const vm = await QemuProcess.start(qemu, [...args, "-S"], folder);
  try {
    await vm.execute("migrate-set-parameters", { "max-bandwidth": 2 ** 40 });
    await vm.execute("migrate", { uri: "exec:cat > $DIR/stream" });
    for (const until = Date.now() + LIMIT; Date.now() < until;) {
      const info = (await vm.execute("query-migrate")) as JsonObject;
      const status = textOf(info["status"]);
      if (status === "completed") return readFileSync(vm.file("stream"));
      if (status === "failed") throw new Error(`not saved: ${textOf(info["error-desc"])} ${vm.stderr}`);
      await sleep(20);
    }
    throw new Error("not saved in time");
  } finally {
    await vm.close();
  }
}

/** Starts explain's proposal for a command line's stream. `keep` is a folder for the streams. */
export async function tryLine(qemu: QemuBinary, line: TargetLine, keep?: string): Promise<Outcome> {
  const told = { line, version: qemu.version };
  let stream: Buffer;
  try {
    stream = await saved(qemu, line.args);
  } catch (error) {
    return { ...told, kind: "none", why: firstLines(String(error)), advice: [] };
  }
  if (keep !== undefined) {
    mkdirSync(keep, { recursive: true });
    writeFileSync(join(keep, `${qemu.version}-${line.target}-${line.name}.bin`), stream);
  }
  const explained = await explainStream(new MemorySource(stream));
  const advice = explained.destination.arguments;
  const why = await loads(qemu, explained, stream);
  if (why !== undefined && !(await loadsAgain(qemu, line.args, stream)))
    return { ...told, kind: "none", why: `with the source's arguments neither: ${why}`, advice };
  return { ...told, kind: why === undefined ? "loads" : "fails", why: why ?? "", advice };
}

/** Undefined where the destination that was explained loads the stream; else what QEMU said. */
export async function loads(qemu: QemuBinary, explained: Explanation, stream: Uint8Array): Promise<string | undefined> {
  const { capabilities } = explained.destination;
  const own = ownThings(explained, "TYPE");
  try {
    const { vm, result } = await startDestination({ qemu, ...own, capabilities, stream, timeout: LIMIT });
    await vm.close();
    return result.loaded ? undefined : firstLines(result.error || result.status);
  } catch (error) {
    return firstLines(String(error));
  }
}

/** Whether it is loaded with the source's arguments: if not, the advice is not at fault. */
async function loadsAgain(qemu: QemuBinary, args: readonly string[], stream: Uint8Array): Promise<boolean> {
  const files = Object.fromEntries(Object.entries(emptyFiles).map(([name, length]) => [name, Buffer.alloc(length)]));
  try {
    const { vm, result } = await startDestination({ qemu, args: [...args], files, stream, timeout: LIMIT });
    await vm.close();
    return result.loaded;
  } catch {
    return false;
  }
}

function makeFiles(folder: string): void {
  for (const [name, length] of Object.entries(emptyFiles)) {
    writeFileSync(join(folder, name), "");
    truncateSync(join(folder, name), length);
  }
}

function firstLines(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "" && !/ warning: |module \S+ not found/u.test(line));
  return lines.slice(0, 4).join(" | ").slice(0, 500);
}

/** Loaded and tried, by target and version. */
export function table(outcomes: readonly Outcome[]): string[] {
  const versions = [...new Set(outcomes.map(({ version }) => version))];
  const targets = [...new Set(outcomes.map(({ line }) => line.target))];
  const cell = (of: readonly Outcome[]): string => {
    const tried = of.filter(({ kind }) => kind !== "none");
    return tried.length === 0 ? "-" : `${tried.filter(({ kind }) => kind === "loads").length} of ${tried.length}`;
  };
  const ofTarget = (target: string, version: string): readonly Outcome[] =>
    outcomes.filter((one) => one.version === version && (target === "all" || one.line.target === target));
  const rows = [...targets, "all"].map((target) =>
    [target].concat(versions.map((version) => cell(ofTarget(target, version)))),
  );
  return [["target", ...versions], ...rows].map((row) =>
    row
      .map((text) => text.padEnd(12))
      .join("")
      .trimEnd(),
  );
}

async function main(): Promise<void> {
  const options = argv.slice(2);
  const value = (name: string): string | undefined =>
    options.includes(name) ? options.splice(options.indexOf(name), 2)[1] : undefined;
  const [only = "", keep] = [value("--only"), value("--keep")];
  const versions = options.filter((word) => !word.startsWith("--"));
  const outcomes: Outcome[] = [];
  for (const line of targetLines.filter(({ target, name }) => `${target}/${name}`.includes(only))) {
    for (const qemu of findQemus(false, line.program)) {
      if (versions.length > 0 && !versions.includes(qemu.version)) continue;
      const outcome = await tryLine(qemu, line, keep);
      outcomes.push(outcome);
      if (outcome.kind !== "loads")
        console.log(`${qemu.version} ${line.target}/${line.name}: ${outcome.kind}: ${outcome.why}`);
      if (options.includes("--show")) console.log(`  ${outcome.advice.join(" ")}`);
    }
  }
  console.log(table(outcomes).join("\n"));
  const short = [...new Set(outcomes.map(({ version }) => version))].filter((version) => {
    const tried = outcomes.filter((one) => one.version === version && one.kind !== "none");
    return tried.filter(({ kind }) => kind === "loads").length < 0.95 * tried.length;
  });
  exit(short.length === 0 ? 0 : 1);
}

if (argv[1] === fileURLToPath(import.meta.url)) await main();
