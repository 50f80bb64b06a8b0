/**
 * Linux guests of each architecture, paused, as qevm shows their saved streams and as QEMU shows them itself: `node
 * dist/tools/linux/main.js [OPTIONS]`. Prints a line for each guest and comparison. Exit 1 when something differs.
 *
 *   --match REGEXP      guests whose name it matches (see systems.ts)
 *   --addresses N       virtual addresses of each CPU (500)
 *   --symbols           of x86_64 guests also what gdb, crash and drgn show (860 MB are fetched once)
 *   --qemu 7.2          the QEMU
 *   --keep FOLDER       keep the streams, and load those that are there instead of booting
 */
import { mkdirSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { argv, exit } from "node:process";
import { openSource } from "../../src/io/transport/file.js";
import { layoutOf, scanPages } from "../../src/guest/read/guest-memory.js";
import { SavedGuest } from "../../src/serve/gdb/index.js";
import { findQemu } from "../qemu/find.js";
import type { QemuProcess } from "../qemu/process.js";
import { saveStream } from "../qemu/save-stream.js";
import { bootSystem } from "./boot.js";
import { systemFiles } from "./files.js";
import { comparePrograms } from "./programs.js";
import { compareStubs, served } from "./stub.js";
import { SYSTEMS, type System } from "./systems.js";

const words = argv.slice(2);
const option = (name: string, usual: string): string => {
  const at = words.indexOf(name);
  return at < 0 ? usual : (words[at + 1] ?? usual);
};
const match = new RegExp(option("--match", ""), "u");
const count = Number(option("--addresses", "500"));
const version = option("--qemu", "7.2");
const symbols = words.includes("--symbols");
const keep = option("--keep", "");
let differences = 0;

for (const system of SYSTEMS) {
  if (!match.test(system.name)) continue;
  const qemu = findQemu(version, `qemu-system-${system.target}`);
  if (qemu === undefined) {
    console.log(`${system.name}: skipped, no qemu-system-${system.target} ${version}`);
    continue;
  }
  const files = systemFiles(system, symbols);
  const vm = await bootSystem(qemu, system, files, join(keep, `${system.name}.mig`));
  try {
    await compared(vm, system, files.vmlinux);
  } finally {
    await vm.close();
  }
}
exit(differences > 0 ? 1 : 0);

async function compared(vm: QemuProcess, system: System, vmlinux: string | undefined): Promise<void> {
  const stream = await saveStream(vm);
  if (keep !== "") {
    mkdirSync(keep, { recursive: true });
    copyFileSync(stream, join(keep, `${system.name}.mig`));
  }
  const source = openSource(stream);
  const pages = await scanPages(source, { devices: true });
  const guest = new SavedGuest(pages, layoutOf(pages));
  await served(guest, vm.folder, async (path) => {
    const { modes, registers, mapped, byRights, refused, devices, different } = await compareStubs(
      vm,
      system,
      guest,
      path,
      count,
    );
    const right = modes.every((mode) => system.mode.test(mode));
    console.log(
      `${system.name}: ${modes.join(" | ")}; ${registers} registers, ${mapped} addresses mapped (${byRights} with other rights), ${refused} refused, ` +
        `${devices} of devices; ${different.length} differences${right ? "" : "; the mode is not the expected one"}`,
    );
    for (const line of different.slice(0, 20)) console.log(`  ${line}`);
    differences += different.length + (right ? 0 : 1);
    if (vmlinux === undefined) return;
    for await (const { name, lines, different: other, skipped } of comparePrograms(vm, stream, vmlinux, path)) {
      console.log(`${system.name}: ${name}: ${skipped ?? `${lines} lines, ${other.length} differ`}`);
      for (const line of other.slice(0, 10)) console.log(`  ${line}`);
      differences += other.length;
    }
  });
  await source.close?.();
}
