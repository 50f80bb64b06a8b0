/** Runs the steps of a capture against a QEMU. */
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../src/bytes/errors.js";
import { readyAddress, readyMark } from "../guest/listing.js";
import type { QemuProcess } from "../qemu/process.js";
import { type JsonObject, textOf } from "../../src/io/transport/qmp.js";
import type { Step } from "./entry.js";

const limit = 60_000;

/** Runs one step; rejects when it fails or takes longer than a minute. */
export async function runStep(vm: QemuProcess, step: Step): Promise<void> {
  if ("execute" in step) {
    await vm.execute(step.execute, step.arguments);
  } else if ("human" in step) {
    const text = await vm.human(step.human);
    if (/^(?:Error|Could not|Device .* not found)/mu.test(text)) throw new QevmError("io", `${step.human}: ${text}`);
  } else if (step.wait === "halted") {
    await poll(vm, step.wait, 60, async () => / HLT=1/u.test(await vm.human("info registers")));
  } else if (step.wait === "guest") {
    await waitGuest(vm);
  } else if (step.wait === "mark") {
    await waitWord(vm, step.address, step.value);
  } else {
    await poll(vm, step.wait, 20, async () => await migrationReached(vm, step));
  }
}

/** Waits until the guest of this project has set its mark. */
export async function waitGuest(vm: QemuProcess): Promise<void> {
  await waitWord(vm, readyAddress, readyMark);
}

async function waitWord(vm: QemuProcess, address: number, value: number): Promise<void> {
  const word = `0x${value.toString(16).padStart(8, "0")}`;
  await poll(vm, "guest", 30, async () => (await vm.human(`xp /1wx ${address}`)).includes(word));
}

async function migrationReached(
  vm: QemuProcess,
  step: Extract<Step, { wait: "rounds" | "completed" }>,
): Promise<boolean> {
  const info = (await vm.execute("query-migrate")) as JsonObject;
  const status = textOf(info["status"]);
  if (status === "failed" || status === "cancelled") {
    throw new QevmError("io", `migration ${status}: ${textOf(info["error-desc"])} ${vm.stderr.trim()}`);
  }
  if (step.wait === "completed") return status === "completed";
  const ram = (info["ram"] ?? {}) as JsonObject;
  if (status === "completed") throw new QevmError("io", `the migration ended before round ${step.count}`);
  return Number(ram["dirty-sync-count"] ?? 0) >= step.count;
}

async function poll(vm: QemuProcess, what: string, every: number, ready: () => Promise<boolean>): Promise<void> {
  const until = Date.now() + limit;
  while (!(await ready())) {
    if (vm.exit !== undefined) throw new QevmError("io", `QEMU ended: ${vm.stderr.trim()}`);
    if (Date.now() > until) throw new QevmError("io", `${what} did not come in ${limit} ms`);
    await sleep(every);
  }
}
