/** One cell of the matrix: a guest saved by one QEMU under an old machine type, adapted, loaded by another. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MemorySource } from "../../src/bytes/index.js";
import { MemorySink } from "../../src/bytes/source.js";
import { planStreams, reportOf, type AdaptReport, type Reopened } from "../../src/rewrite/adapt/index.js";
import { askDestination } from "../../src/rewrite/adapt/destination.js";
import { globalArguments } from "../../src/rewrite/adapt/properties.js";
import { writeAdapted } from "../../src/rewrite/adapt/write.js";
import { runStep } from "../capture/steps.js";
import { startDestination } from "../destination/index.js";
import type { QemuBinary } from "../qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../qemu/process.js";

export interface Cell {
  readonly old: QemuBinary;
  readonly now: QemuBinary;
  /** Full machine types. */
  readonly from: string;
  readonly to: string;
  readonly args: readonly string[];
  /** Milliseconds that the guest runs before it is saved. */
  readonly run: number;
}

export interface Outcome {
  /** The guest goes on. */
  readonly passed: boolean;
  /** Where it ended: "source", "refused", "load", "registers", "stopped". */
  readonly at: string;
  readonly why: string;
  readonly report?: AdaptReport;
  readonly globals: readonly string[];
  readonly stream?: Buffer;
  readonly pattern?: Buffer;
}

async function started(qemu: QemuBinary, args: readonly string[]): Promise<QemuProcess> {
  const folder = makeWorkFolder(qemu);
  writeFileSync(join(folder, "disk"), Buffer.alloc(1 << 20));
  return await QemuProcess.start(qemu, args, folder);
}

/** A machine saved by its QEMU. */
export async function saved(vm: QemuProcess): Promise<Buffer> {
  await vm.execute("migrate", { uri: "exec:cat > $DIR/stream" });
  await runStep(vm, { wait: "completed" });
  return readFileSync(vm.file("stream"));
}

/** The source's stream, and the registers that it was saved with. */
export async function saveOld({ old, from, args, run }: Cell): Promise<{ stream: Buffer; registers: string }> {
  const vm = await started(old, ["-machine", from, ...args]);
  try {
    await sleep(run);
    await vm.execute("stop");
    const registers = await vm.human("info registers");
    return { stream: await saved(vm), registers };
  } finally {
    await vm.close();
  }
}

/** The destination's pattern, and the properties that it was started with. */
export async function patternOf({ now, from, to, args }: Cell): Promise<{ pattern: Buffer; globals: string[] }> {
  const line = ["-machine", to, ...args, "-S"];
  let vm = await started(now, line);
  try {
    const facts = await askDestination(vm, from);
    const globals = globalArguments(facts.properties, line);
    if (globals.length > 0) {
      await vm.close();
      vm = await started(now, [...line, ...globals]);
    }
    return { pattern: await saved(vm), globals };
  } finally {
    await vm.close();
  }
}

function reopened(bytes: Buffer): Reopened {
  return { open: () => new MemorySource(bytes) };
}

export async function tryCell(cell: Cell): Promise<Outcome> {
  let globals: string[] = [];
  const failed = (at: string, error: unknown, rest: Partial<Outcome> = {}): Outcome => ({
    passed: false,
    at,
    why: String(error instanceof Error ? error.message : error).trim(),
    globals,
    ...rest,
  });
  let source: { stream: Buffer; registers: string };
  let pattern: Buffer;
  try {
    source = await saveOld(cell);
    ({ pattern, globals } = await patternOf(cell));
  } catch (error) {
    return failed("source", error);
  }
  const { stream } = source;
  const sink = new MemorySink();
  let report: AdaptReport;
  try {
    const plan = await planStreams(reopened(stream), reopened(pattern));
    report = reportOf(plan);
    if (!report.enough) {
      const why = report.refused.map(({ where, rule, reason }) => `${where}: ${rule}: ${reason}`).join("; ");
      return failed("refused", why, { report, stream, pattern });
    }
    await writeAdapted(plan, new MemorySource(stream), new MemorySource(pattern), sink, {});
  } catch (error) {
    return failed("adapt", error, { stream, pattern });
  }
  return await loaded(cell, Buffer.from(sink.bytes()), source.registers, globals, { report, stream, pattern });
}

async function loaded(
  { now, to, args }: Cell,
  stream: Buffer,
  registers: string,
  globals: string[],
  rest: Partial<Outcome>,
): Promise<Outcome> {
  const fail = (at: string, why: string): Outcome => ({ passed: false, at, why, globals, ...rest });
  const files = { disk: Buffer.alloc(1 << 20) };
  const { vm, result } = await startDestination({
    qemu: now,
    args: ["-machine", to, ...args, ...globals],
    stream,
    files,
  });
  try {
    if (!result.loaded) return fail("load", result.error || result.status);
    const after = await vm.human("info registers");
    if (values(after) !== values(registers)) return fail("registers", "other registers after the load");
    await vm.execute("cont");
    await sleep(500);
    const status = JSON.stringify(await vm.execute("query-status"));
    if (!status.includes('"running"')) return fail("stopped", status);
    return { passed: true, at: "", why: "", globals, ...rest };
  } finally {
    await vm.close();
  }
}

/** General registers of all CPUs, in one form for all versions. */
function values(text: string): string {
  return (text.match(/\b(?:[ER](?:[A-D]X|[SD]I|[BS]P|IP)|R\d+|CR[0234]) ?=[0-9a-f]+/gu) ?? []).join(" ");
}
