/**
 * Saves streams for the catalogue of device state: every device set, every machine type and some guests of the installed
 * QEMUs, one file each. `node dist/tools/catalogue/sweep.js --out DIR [--program qemu-system-x86_64] [--kinds devices,machines,guests]
 * [--match RE] [--seed N --guests M] [VERSION...]`. What a QEMU does not have or does not migrate is passed over. Files
 * that exist are kept. With `--guests`, M guests by chance instead, of the seeds from N: a new N gives streams that
 * nothing was learnt from.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { deviceJobs } from "../capture/device-sets.js";
import { findQemus, usualProgram, type QemuBinary } from "../qemu/find.js";
import { QemuProcess } from "../qemu/process.js";
import { saveStream } from "../qemu/save-stream.js";
import { guestJobs, machineJobs, type SweepJob } from "./jobs.js";
import { commandOf, leaveOut, offerOf, randomGuest } from "./random.js";

/** Why it was not saved; undefined: it was. */
async function save(qemu: QemuBinary, { args, runs }: SweepJob, file: string): Promise<string | undefined> {
  let vm: QemuProcess | undefined;
  try {
    vm = await QemuProcess.start(qemu, runs === 0 ? [...args, "-S"] : args);
    if (runs > 0) {
      await sleep(runs);
      await vm.execute("stop");
    }
    spawnSync("cp", [await saveStream(vm), `${file}.tmp`]);
    renameSync(`${file}.tmp`, file);
    return undefined;
  } catch (error) {
    return String(error).trim().split("\n").at(-1);
  } finally {
    await vm?.close();
  }
}

/** Saves guests by chance, each without what its QEMU refuses of it. */
async function saveRandom(qemu: QemuBinary, folder: string, first: number, count: number): Promise<string[]> {
  const offer = await offerOf(qemu);
  const left: string[] = [];
  try {
    for (let seed = first; seed < first + count; seed++) {
      const guest = await randomGuest(offer, seed);
      const file = join(folder, `random-${seed}.mig`);
      if (existsSync(file)) continue;
      let failure: string | undefined;
      do failure = await save(qemu, { name: "", args: commandOf(guest), runs: guest.runs }, file);
      while (failure !== undefined && leaveOut(guest, failure));
      if (failure === undefined) writeFileSync(`${file}.args`, commandOf(guest).join(" "));
      else left.push(`${seed}: ${failure}`);
    }
  } finally {
    await offer.close();
  }
  return left;
}

const line = argv.slice(2);
const option = (name: string, usual: string): string => {
  const at = line.indexOf(name);
  return at < 0 ? usual : (line.splice(at, 2)[1] ?? usual);
};
const out = option("--out", "/tmp/sweep");
const program = option("--program", usualProgram);
const kinds = new Set(option("--kinds", "devices,machines,guests").split(","));
const match = new RegExp(option("--match", ""), "u");
const [seed, count] = [Number(option("--seed", "1")), Number(option("--guests", "0"))];
for (const qemu of findQemus(false, program).filter(({ version }) => line.length === 0 || line.includes(version))) {
  const folder = join(out, `${program.replace("qemu-system-", "")}-${qemu.version}`);
  mkdirSync(folder, { recursive: true });
  if (count > 0) {
    const left = await saveRandom(qemu, folder, seed, count);
    console.log(`${program} ${qemu.version}: ${count - left.length} saved; not there:\n  ${left.join("\n  ")}`);
    continue;
  }
  const jobs = [
    ...(kinds.has("devices") && program === usualProgram
      ? deviceJobs().map(({ name, args }) => ({ name, args, runs: 800 }))
      : []),
    ...(kinds.has("guests") && program === usualProgram ? guestJobs() : []),
    ...(kinds.has("machines") ? machineJobs(qemu, program) : []),
  ].filter(({ name }) => match.test(name));
  const none: string[] = [];
  for (const job of jobs) {
    const file = join(folder, `${job.name.replaceAll(/[^\w.-]+/gu, "_")}.mig`);
    const failure = existsSync(file) ? undefined : await save(qemu, job, file);
    if (failure !== undefined) none.push(`${job.name}: ${failure}`);
  }
  console.log(`${program} ${qemu.version}: ${jobs.length - none.length} saved; not there:\n  ${none.join("\n  ")}`);
  writeFileSync(join(folder, "jobs.json"), JSON.stringify(jobs.map(({ name }) => name)));
}
