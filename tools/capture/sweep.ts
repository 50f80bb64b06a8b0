/**
 * Streams beyond the corpus: every machine type and every device of every installed QEMU, captured and verified one by
 * one and not kept. `node dist/tools/capture/sweep.js [--machines] [--devices] [VERSION...]`; exit 1 when a stream is
 * not identical or has opaque bytes. Machines and devices that a QEMU does not have or does not migrate are counted.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import { verifyStream } from "../../src/analyse/inspect/verify.js";
import { MemorySource } from "../../src/bytes/index.js";
import { findQemus, type QemuBinary } from "../qemu/find.js";
import { QemuProcess } from "../qemu/process.js";
import { deviceJobs, type Job } from "./device-sets.js";
import { words } from "./entries/parts.js";
import { runStep } from "./steps.js";

/** Every machine type of a QEMU, with its default devices. */
function machineJobs(qemu: QemuBinary): Job[] {
  const [file = "", ...lead] = qemu.command;
  const text = spawnSync(file, [...lead, "-machine", "help"], { encoding: "utf8" }).stdout;
  return text
    .split("\n")
    .slice(1)
    .flatMap((row) => /^(\S+)/u.exec(row)?.slice(1) ?? [])
    .filter((name) => !/^(?:x-remote|xenfv|xenpv|nitro)/u.test(name))
    .map((name) => ({ name, args: words(`-machine ${name} -m 8`) }));
}

type Outcome = "good" | "bad" | "none";

async function run(qemu: QemuBinary, { name, args }: Job): Promise<Outcome> {
  let vm: QemuProcess;
  try {
    vm = await QemuProcess.start(qemu, args);
  } catch {
    return "none";
  }
  try {
    if (!args.includes("none")) await Promise.race([runStep(vm, { wait: "halted" }), runFor(1500)]);
    await vm.execute("migrate", { uri: "exec:cat > $DIR/stream" });
    await runStep(vm, { wait: "completed" });
  } catch {
    await vm.close();
    return "none";
  }
  const stream = readFileSync(vm.file("stream"));
  await vm.close();
  try {
    const { identical, opaqueBytes, inspection } = await verifyStream(new MemorySource(stream));
    if (identical && opaqueBytes === 0) return "good";
    // Machine types before 2.3 write no description, so their device state cannot be decoded.
    if (identical && /^pc-(?:i440fx|q35)-(?:1|2\.[0-2]$)/u.test(name)) return "good";
    const why = inspection.undecoded.map(({ reason }) => reason).join("; ");
    console.log(`BAD ${qemu.version} ${name}: identical ${identical}, opaque ${opaqueBytes} ${why}`);
  } catch (error) {
    console.log(`BAD ${qemu.version} ${name}: ${String(error)}`);
  }
  return "bad";
}

async function runFor(milliseconds: number): Promise<void> {
  await new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

const options = argv.slice(2);
const versions = options.filter((word) => !word.startsWith("--"));
let bad = 0;
for (const qemu of findQemus().filter(({ version }) => versions.length === 0 || versions.includes(version))) {
  const only = new Set(options);
  const jobs = [...(only.has("--machines") ? [] : deviceJobs()), ...(only.has("--devices") ? [] : machineJobs(qemu))];
  const count: Record<Outcome, string[]> = { good: [], bad: [], none: [] };
  for (const job of jobs) count[await run(qemu, job)].push(job.name);
  bad += count.bad.length;
  console.log(`QEMU ${qemu.version}: ${count.good.length} identical and understood, ${count.bad.length} not`);
  console.log(`  not there or not migratable: ${count.none.join("; ")}`);
}
exit(bad === 0 ? 0 : 1);
