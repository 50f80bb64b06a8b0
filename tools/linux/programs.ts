/** What gdb, crash and drgn show of a saved Linux, by QEMU's stub and dumps and by ours. */
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { extractPhysical } from "../../src/guest/files/extract-physical.js";
import { openSource } from "../../src/io/transport/file.js";
import type { QemuProcess } from "../qemu/process.js";

export interface Shown {
  /** Program and what it opened. */
  readonly name: string;
  /** Lines that both show. */
  readonly lines: number;
  /** Pairs of lines; empty where all are equal. */
  readonly different: readonly string[];
  /** Why it was not compared. */
  readonly skipped?: string;
}

const DRGN = `
import sys, drgn
from drgn.helpers.linux.pid import for_each_task
from drgn.helpers.linux.printk import get_dmesg
program = drgn.Program()
program.set_core_dump(sys.argv[1])
program.load_debug_info([sys.argv[2]])
tasks = sorted(for_each_task(program), key=lambda task: task.pid.value_())
for task in tasks: print(task.pid.value_(), task.comm.string_().decode(), hex(task.value_()))
for task in tasks:
    try: print(task.comm.string_().decode(), program.stack_trace(task))
    except Exception as error: print(task.comm.string_().decode(), error)
print(get_dmesg(program).decode())
`;
const CRASH = "sys\nps\nlog\nbt -a\nmach\nquit\n";
const GDB = [
  "info threads",
  "thread apply all -ascending bt 15",
  "thread apply all -ascending info registers rip rsp cr3",
  "x/s linux_banner",
  "p init_task.comm",
  "p jiffies_64",
  "p *init_task.mm",
];

/** The same paused guest in programs that know the kernel's symbols. @param stub path of our server's socket */
export async function* comparePrograms(
  vm: QemuProcess,
  stream: string,
  vmlinux: string,
  stub: string,
): AsyncGenerator<Shown> {
  const at = (name: string): string => join(vm.folder, name);
  // Before gdb: its end lets QEMU's guest run on.
  for (const [name, args] of [
    ["qemu.elf", { paging: true }],
    ["qemu.flat", { paging: false, format: "kdump-zlib" }],
  ] as const) {
    await vm.execute("dump-guest-memory", { ...args, protocol: `file:$DIR/${name}` }, 300_000);
  }
  for (const [name, how] of [
    ["qevm.elf", { format: "elf", paging: true }],
    ["qevm.kdump", { format: "kdump" }],
  ] as const) {
    const source = openSource(stream);
    await extractPhysical(source, at(name), how);
    await source.close?.();
  }
  const offset = offsetOf(at("qevm.kdump"));
  const gdb = (target: string): string[] => {
    const lines = ["set pagination off", "set width 0", `add-symbol-file ${vmlinux} -o ${offset}`, target, ...GDB];
    return ["gdb", "-nx", "-batch", ...lines.flatMap((line) => ["-ex", line])];
  };
  yield await pair("gdb, stub", gdb(`target remote ${vm.file("gdb.sock")}`), gdb(`target remote ${stub}`));
  yield await pair("gdb, paging core", gdb(`target core ${at("qemu.elf")}`), gdb(`target core ${at("qevm.elf")}`));
  writeFileSync(at("tasks.py"), DRGN);
  const drgn = (core: string): string[] => ["python3", at("tasks.py"), at(core), vmlinux];
  if (spawnSync("python3", ["-c", "import drgn"]).status === 0) {
    yield await pair("drgn, paging core", drgn("qemu.elf"), drgn("qevm.elf"));
    // drgn does not open QEMU's own kdump file, which has no names of the system in its header.
    yield await pair("drgn, QEMU's paging core and our kdump", drgn("qemu.elf"), drgn("qevm.kdump"));
  } else yield { name: "drgn", lines: 0, different: [], skipped: "no drgn here" };
  writeFileSync(at("crash.txt"), CRASH);
  const crash = (core: string): string[] => ["crash", "-s", "-i", at("crash.txt"), vmlinux, at(core)];
  yield await pair("crash, kdump", crash("qemu.flat"), crash("qevm.kdump"));
  yield await pair("crash, paging core", crash("qemu.elf"), crash("qevm.elf"));
}

/** What two command lines print. */
async function pair(name: string, real: string[], ours: string[]): Promise<Shown> {
  if (spawnSync(real[0]!, ["--version"]).error !== undefined)
    return { name, lines: 0, different: [], skipped: `no ${real[0]} here` };
  const [right, found] = [await output(real), await output(ours)];
  const different = right.flatMap((line, k) => (line === found[k] ? [] : [`QEMU: ${line}\n  qevm: ${found[k]}`]));
  if (found.length !== right.length) different.push(`QEMU: ${right.length} lines, qevm: ${found.length}`);
  return { name, lines: right.length, different };
}

/** How far the kernel's image was moved, as its VMCOREINFO says. */
function offsetOf(dump: string): string {
  const found = spawnSync("grep", ["-a", "-o", "-m1", "^KERNELOFFSET=[0-9a-f]*", dump], { encoding: "utf8" }).stdout;
  return `0x${found.trim().split("=")[1] ?? "0"}`;
}

/** What a program prints, without the paths of dumps. */
async function output([program = "", ...args]: string[]): Promise<string[]> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], timeout: 300_000 });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (text += String(piece)));
  await new Promise((resolve) => child.once("close", resolve));
  return (
    text
      .replaceAll(/\S*\/(?:qemu|qevm)\.(?:elf|flat|kdump)/gu, "DUMP")
      // QEMU says here whether a CPU is halted.
      .replaceAll(/\(CPU#(\d+) \[[a-z ]+\]\)/gu, "(CPU#$1)")
      .replaceAll(/ {2,}/gu, " ")
      .split("\n")
      .filter((line) => line !== "")
  );
}
