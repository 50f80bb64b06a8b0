/** Tests of every QEMU that this machine has: `npm run test:versions` has more than one. */
import test from "tape";
import { findQemus, type QemuBinary } from "../../tools/qemu/find.js";
import type { QemuProcess } from "../../tools/qemu/process.js";

/** One test for each installed QEMU; where there is none, a skipped one with the reason. */
export function testEach(name: string, body: (t: test.Test, qemu: QemuBinary) => Promise<void>): void {
  const qemus = findQemus();
  if (qemus.length === 0) test(name, { skip: "no QEMU 7.2 here" }, (t) => t.end());
  for (const qemu of qemus) {
    test(`${name}, QEMU ${qemu.version}`, async (t) => {
      await body(t, qemu);
      t.end();
    });
  }
}

/** Waits until a destination has loaded the stream. */
export async function whenLoaded(vm: QemuProcess): Promise<void> {
  for (let k = 0; k < 400; k++) {
    const [run, migration] = [await vm.execute("query-status"), await vm.execute("query-migrate")] as [
      { status: string },
      { status?: string },
    ];
    if (run.status !== "inmigrate" && (migration.status ?? "completed") === "completed") return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not loaded in 20 s: ${vm.stderr}`);
}

/** Waits for the guest of `longModeGuest`, at most 30 s. */
export async function inLongMode(vm: QemuProcess): Promise<void> {
  for (let k = 0; k < 300; k++) {
    if (/EFER=0*500\n/u.test(await vm.human("info registers"))) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
