/** Layouts of other machines than a plain PC, against what a real QEMU shows at each address. */
import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { findQemu, findQemus, type QemuBinary } from "../tools/qemu/find.js";
import { QemuProcess } from "../tools/qemu/process.js";
import { coreParts } from "./support/cores.js";
import { qevm } from "./support/program.js";
import { saveStream } from "../tools/qemu/save-stream.js";

const MIB = 1 << 20;
const GIB = 1 << 30;

/** The ARM program of the same QEMU, where it is installed. */
function armQemu(): QemuBinary | undefined {
  const run = spawnSync("qemu-system-aarch64", ["--version"], { encoding: "utf8" });
  const banner = run.error === undefined ? (run.stdout.split("\n")[0] ?? "") : "";
  const version = /version (\d+\.\d+)/u.exec(banner)?.[1];
  return version === undefined ? undefined : { version, banner, root: undefined, command: ["qemu-system-aarch64"] };
}

interface Case {
  name: string;
  args: string;
  /** Addresses that get a mark of their own before the machine starts. */
  marks: number[];
  /** Further ranges that are compared: firmware and the like. */
  ranges: [number, number][];
  /** What is said of the layout; every line with `guess` must be expected here. */
  how: RegExp;
  guesses: number;
}

const PC: readonly Case[] = [
  {
    name: "microvm, 4 GiB",
    args: "-machine microvm -m 4096",
    marks: [0x8000, 3 * GIB - 8, 4 * GIB, 5 * GIB - 8],
    ranges: [[0xe0000, 0x20000]],
    how: /0xc0000000 bytes below 4 GiB, as the RTC's CMOS says/u,
    guesses: 0,
  },
  {
    name: "isapc",
    args: "-machine isapc -m 64",
    marks: [0xb0000, 64 * MIB - 8],
    ranges: [[0xc0000, 0x40000]],
    how: /no host bridge says/u,
    guesses: 0,
  },
  {
    name: "NUMA nodes of unequal size, in no order of names or sizes",
    args: "-machine q35 -m 4G -object memory-backend-ram,id=zeta,size=1G -object memory-backend-ram,id=alpha,size=3G -numa node,memdev=zeta -numa node,memdev=alpha",
    marks: [GIB - 8, GIB, 2 * GIB - 8, 4 * GIB, 6 * GIB - 8],
    ranges: [[0xc0000, 0x40000]],
    how: /main memory is "zeta", "alpha" by their lengths in the SRAT/u,
    guesses: 0,
  },
  {
    name: "NUMA nodes of equal size",
    args: "-machine pc -m 128M -object memory-backend-ram,id=ram-node0,size=64M -object memory-backend-ram,id=ram-node1,size=64M -numa node,memdev=ram-node0 -numa node,memdev=ram-node1",
    marks: [64 * MIB - 8, 64 * MIB, 128 * MIB - 8],
    ranges: [],
    how: /guess: main memory is "ram-node0", "ram-node1" in this order, by their names/u,
    guesses: 1,
  },
  {
    name: "three DIMMs",
    args: "-machine pc -m 64M,slots=4,maxmem=8G -object memory-backend-ram,id=d0,size=4M -object memory-backend-ram,id=d1,size=130M -object memory-backend-ram,id=d2,size=2M -device pc-dimm,memdev=d0 -device pc-dimm,memdev=d1 -device pc-dimm,memdev=d2",
    marks: [64 * MIB - 8, 4 * GIB, 4 * GIB + 4 * MIB, 4 * GIB + 134 * MIB],
    ranges: [],
    how: /guess: "d1" is hot-plugged memory at 0x100400000; the stream does not say/u,
    guesses: 3,
  },
  {
    name: "a memory backend of another name",
    args: "-machine q35,memory-backend=mine -m 64M -object memory-backend-ram,id=mine,size=64M",
    marks: [MIB, 64 * MIB - 8],
    ranges: [[0xc0000, 0x40000]],
    how: /main memory is "mine", the block of the length that the RTC's CMOS says/u,
    guesses: 0,
  },
];

const ARM: readonly Case[] = [
  {
    name: "ARM virt",
    args: "-machine virt -cpu cortex-a57 -m 1G",
    marks: [GIB, 2 * GIB - 8],
    ranges: [
      [0, 4096],
      [64 * MIB, 4096],
    ],
    how: /mach-virt\.ram begins at 0x40000000 on this machine/u,
    guesses: 0,
  },
];

const RISCV: Case = {
  name: "RISC-V virt",
  args: "-machine virt -bios none -m 1G",
  marks: [2 * GIB, 3 * GIB - 8],
  ranges: [
    [0x1000, 0xf000],
    [512 * MIB, 4096],
    [544 * MIB, 4096],
  ],
  how: /riscv_virt_board\.ram begins at 0x80000000 on this machine/u,
  guesses: 0,
};

function readAt(file: string, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(file, "r");
  readSync(fd, bytes, 0, length, at);
  closeSync(fd);
  return bytes;
}

function check(qemu: QemuBinary | undefined, program: string, { name, args, marks, ranges, how, guesses }: Case): void {
  const title = qemu === undefined ? name : `${name}, QEMU ${qemu.version}`;
  test(title, qemu === undefined ? { skip: `no ${program} here` } : {}, async (t) => {
    const work = mkdtempSync(join(tmpdir(), "qevm-machines-"));
    const loaders = marks.flatMap((at) => [
      "-device",
      `loader,addr=${at},data=${(at + 0x5a5a5a5a) % 2 ** 32},data-len=4`,
    ]);
    const vm = await QemuProcess.start(qemu!, [...args.split(" "), "-nodefaults", "-S", ...loaders]);
    try {
      const stream = await saveStream(vm);
      const raw = join(work, "raw");
      const run = await qevm(["extract", stream, "--format", "raw", "--out", raw]);
      t.equal(run.code, 0, run.stderr);
      t.match(run.stdout, how, "how it was found");
      t.equal(run.stdout.match(/guess/gu)?.length ?? 0, guesses, "a guess is called a guess, and nothing else");
      for (const [at, length] of [...marks.map((mark) => [mark - (mark % 4096), 4096] as const), ...ranges]) {
        await vm.human(`pmemsave ${at} ${length} "$DIR/pmem"`);
        const truth = readFileSync(vm.file("pmem"));
        const same = truth.equals(readAt(raw, at, length));
        t.ok(
          same && (ranges.some(([start]) => start === at) || truth.some((byte) => byte !== 0)),
          `0x${at.toString(16)}`,
        );
      }
      const elf = join(work, "core");
      const part = ["--from", String(marks[0]! - (marks[0]! % 4096)), "--length", "4096"];
      t.equal((await qevm(["extract", stream, "--format", "elf", "--out", elf, ...part])).code, 0);
      const core = readFileSync(elf);
      t.equal(core.readUInt16LE(18), { aarch64: 183, riscv64: 243 }[program.slice(12)] ?? 3, "the core's machine");
      t.equal(coreParts(core).loads.length, 1);
    } finally {
      await vm.close();
      rmSync(work, { recursive: true, force: true });
    }
    t.end();
  });
}

const qemus = findQemus();
for (const one of PC) for (const qemu of qemus.length === 0 ? [undefined] : qemus) check(qemu, "QEMU 7.2", one);
for (const one of ARM) check(armQemu(), "qemu-system-aarch64", one);
check(findQemu("7.2", "qemu-system-riscv64"), "qemu-system-riscv64", RISCV);
