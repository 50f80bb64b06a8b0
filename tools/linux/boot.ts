import { existsSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../src/bytes/errors.js";
import type { QemuBinary } from "../qemu/find.js";
import { QemuProcess } from "../qemu/process.js";
import type { SystemFiles } from "./files.js";
import type { System } from "./systems.js";

/** Time limit for the guest to boot, in milliseconds. */
const BOOT = 240_000;

/**
 * A guest that has booted and is paused, with QEMU's gdb stub at `$DIR/gdb.sock`; loaded from `stream` where that file
 * exists. Errors: io, with the end of what the guest said.
 */
export async function bootSystem(
  qemu: QemuBinary,
  system: System,
  files: SystemFiles,
  stream: string,
): Promise<QemuProcess> {
  const kept = existsSync(stream);
  const args = [
    ...system.machine.split(" "),
    ..."-smp".split(" "),
    String(system.cpus),
    ..."-nodefaults -chardev file,id=tty,path=$DIR/serial -serial chardev:tty".split(" "),
    ..."-chardev socket,id=stub,path=$DIR/gdb.sock,server=on,wait=off -gdb chardev:stub".split(" "),
    "-kernel",
    files.kernel,
    "-initrd",
    files.initrd,
    "-append",
    `${system.append} rdinit=/init`,
    ...(kept ? ["-S", "-incoming", `exec:cat '${stream}'`] : []),
  ];
  const vm = await QemuProcess.start(qemu, args);
  try {
    if (kept) {
      while (!JSON.stringify(await vm.execute("query-migrate")).includes("completed")) await sleep(100);
      return vm;
    }
    for (const until = Date.now() + BOOT; ; await sleep(500)) {
      const said = readFileSync(vm.file("serial"), "latin1");
      if (said.includes("the guest is ready")) break;
      if (Date.now() > until || vm.exit !== undefined || said.includes("Kernel panic"))
        throw new QevmError("io", `${system.name} did not boot: ${vm.stderr}\n${said.slice(-1500)}`);
    }
    await vm.execute("stop");
    return vm;
  } catch (error) {
    await vm.close();
    throw error;
  }
}
