/** Cores of other machines than x86, against QEMU's own dump-guest-memory of a guest in the same state. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { corpusEntry } from "../tools/corpus.js";
import { findQemu, type QemuBinary } from "../tools/qemu/find.js";
import { QemuProcess } from "../tools/qemu/process.js";
import { coreParts } from "./support/cores.js";
import { qevm } from "./support/program.js";
import { saveStream } from "../tools/qemu/save-stream.js";
import { sha256Of } from "../tools/sha256.js";

const work = mkdtempSync(join(tmpdir(), "qevm-targets-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

type Value = string | number | boolean | Value[] | { [key: string]: Value };
type Fields = Record<string, Value>;
interface Device {
  device: string;
  fields: Fields;
  subsections: Record<string, Fields>;
}

interface Case {
  name: string;
  program: string;
  args: string;
  /** Fields that get values of their own, in the section itself and in its subsections. */
  fill: readonly string[];
  /** What else is changed in a CPU's state. */
  edit?: (device: Device) => void;
  /** ELF data encoding: 1 little-endian, 2 big-endian. */
  data: number;
  machine: number;
  /** The debugger's names of a register, and the field where it is. */
  gdb: readonly [register: string, field: string, index?: number];
}

const ARM = "-machine virt -cpu cortex-a57 -m 4 -smp 2";
const ARM_FIELDS = ["env.xregs", "env.pc", "env.vfp.zregs"];
const ARM_32 = "env.regs env.banked_r13 env.banked_r14 env.usr_regs env.fiq_regs env.vfp.zregs".split(" ");
const RISCV = "-machine virt -bios none -m 4 -smp 2";
const POWER_FIELDS = "env.gpr env.nip env.vsr env.fpscr vscr env.spe_acc".split(" ");

/** Changes a system register of an ARM CPU, named by its KVM id. */
function system({ fields }: Device, id: string, change: (value: bigint) => bigint): void {
  const at = (fields["cpreg_vmstate_indexes"] as Value[]).indexOf(id);
  const values = fields["cpreg_vmstate_values"] as Value[];
  values[at] = `0x${change(BigInt(values[at] as string)).toString(16)}`;
}

/** All bits of FPSR, and those of FPCR that a Cortex-A57 keeps; they are among the system registers too, which win when QEMU loads. */
function arm(device: Device): void {
  device.subsections["cpu/vfp"]!["fpscr"] = 0xffc0_009f;
  system(device, "0x603000000013da20", () => 0x07c0_0000n);
  system(device, "0x603000000013da21", () => 0xf800_009fn);
}

function power(device: Device): void {
  device.fields["env.crf"] = [1, 2, 3, 4, 5, 6, 7, 8];
  const spr = device.fields["env.spr"] as Value[];
  // XER without the bits that a CPU works out, LR and CTR.
  [spr[1], spr[8], spr[9]] = ["0x20000012", "0x123456789abcdef0", "0xfedcba9876543210"];
}

const CASES: readonly Case[] = [
  {
    name: "aarch64",
    program: "qemu-system-aarch64",
    args: ARM,
    fill: ARM_FIELDS,
    edit: arm,
    data: 1,
    machine: 183,
    gdb: ["x7", "env.xregs", 7],
  },
  {
    name: "aarch64, EL1 big-endian",
    program: "qemu-system-aarch64",
    args: ARM,
    fill: ARM_FIELDS,
    edit: (device) => {
      arm(device);
      system(device, "0x603000000013c080", (value) => value | (1n << 25n));
    },
    data: 2,
    machine: 183,
    gdb: ["pc", "env.pc"],
  },
  ...[0x10, 0x11, 0x12, 0x13, 0x17, 0x1b, 0x1f].map((mode): Case => ({
    name: `aarch64 in AArch32, mode 0x${mode.toString(16)}`,
    program: "qemu-system-aarch64",
    args: ARM,
    fill: ARM_32,
    edit: (device) => {
      arm(device);
      device.fields["cpsr"] = 0x2000_01c0 | mode;
    },
    data: 1,
    machine: 183,
    gdb: ["x7", "env.regs", 7],
  })),
  {
    name: "riscv64",
    program: "qemu-system-riscv64",
    args: RISCV,
    fill: ["env.gpr", "env.pc"],
    data: 1,
    machine: 243,
    gdb: ["x31", "env.gpr", 31],
  },
  {
    name: "riscv64, user mode big-endian",
    program: "qemu-system-riscv64",
    args: RISCV,
    fill: ["env.gpr", "env.pc"],
    edit: ({ fields }) => {
      fields["env.mstatus"] = `0x${(BigInt(fields["env.mstatus"] as string) | (1n << 6n)).toString(16)}`;
    },
    data: 2,
    machine: 243,
    gdb: ["pc", "env.pc"],
  },
  {
    name: "s390x",
    program: "qemu-system-s390x",
    args: "-machine s390-ccw-virtio -m 4 -smp 2",
    fill: "env.regs env.psw.addr env.aregs env.cregs env.cputm env.ckc env.todpr env.fpc env.vregs".split(" "),
    edit: ({ fields }) => (fields["env.psa"] = "0x4000"),
    data: 2,
    machine: 22,
    gdb: ["r5", "env.regs", 5],
  },
  {
    name: "ppc64",
    program: "qemu-system-ppc64",
    args: "-machine pseries -m 256 -smp 2",
    fill: POWER_FIELDS,
    edit: power,
    data: 2,
    machine: 21,
    gdb: ["r5", "env.gpr", 5],
  },
  {
    name: "ppc64, kernel little-endian",
    program: "qemu-system-ppc64",
    args: "-machine pseries -m 256",
    fill: POWER_FIELDS,
    edit: (device) => {
      power(device);
      const spr = device.fields["env.spr"] as Value[];
      spr[318] = `0x${(BigInt(spr[318] as string) | (1n << 25n)).toString(16)}`;
    },
    data: 1,
    machine: 21,
    gdb: ["r5", "env.gpr", 5],
  },
];

/** Another value of the same kind, told apart by `seed`. */
function other(value: Value, seed: string): Value {
  if (Array.isArray(value)) return value.map((one, k) => other(one, `${seed} ${k}`));
  if (typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, other(one, `${seed} ${key}`)]));
  const digest = sha256Of(seed);
  if (typeof value === "number") return Number.parseInt(digest.slice(0, 8), 16) >>> 0;
  if (typeof value === "string" && value.startsWith("0x"))
    return `0x${BigInt(`0x${digest.slice(0, 16)}`).toString(16)}`;
  if (typeof value === "string") return digest.slice(0, value.length);
  throw new Error(`${seed} is not a register`);
}

/** The stream with other registers; and the first CPU's state. */
async function withRegisters(t: test.Test, stream: string, { fill, edit }: Case): Promise<[string, Device]> {
  const folder = join(work, "unpacked");
  const out = join(work, "edited");
  t.equal((await qevm(["unpack", stream, folder])).code, 0);
  let first: Device | undefined;
  for (const name of readdirSync(join(folder, "devices")).toSorted()) {
    if (!/^\d+-cpu-/u.test(name)) continue;
    const path = join(folder, "devices", name);
    const device = JSON.parse(readFileSync(path, "utf8")) as Device;
    for (const fields of [device.fields, ...Object.values(device.subsections)].map(
      (one) => (one["fields"] ?? one) as Fields,
    )) {
      for (const key of Object.keys(fields)) {
        if (fill.some((one) => key === one || key.startsWith(`${one}[`)))
          fields[key] = other(fields[key]!, `${name} ${key}`);
      }
    }
    edit?.(device);
    writeFileSync(path, JSON.stringify(device));
    first ??= device;
  }
  const packed = await qevm(["pack", folder, "--out", out]);
  t.equal(packed.code, 0, packed.stderr);
  rmSync(folder, { recursive: true });
  return [out, first!];
}

async function dump(qemu: QemuBinary, args: readonly string[], stream: string): Promise<Buffer> {
  const vm = await QemuProcess.start(qemu, [...args, "-incoming", `exec:cat ${stream}`]);
  try {
    for (let k = 0; k < 400; k++) {
      const { status } = (await vm.execute("query-status")) as { status: string };
      if (status !== "inmigrate") break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await vm.execute("dump-guest-memory", { paging: false, protocol: "file:$DIR/core" });
    return readFileSync(vm.file("core"));
  } finally {
    await vm.close();
  }
}

for (const one of CASES) {
  const qemu = findQemu("7.2", one.program);
  test(one.name, qemu === undefined ? { skip: `no ${one.program} 7.2 here` } : {}, async (t) => {
    const args = [...one.args.split(" "), "-nodefaults", "-S"];
    const source = await QemuProcess.start(qemu!, args);
    const [stream, cpu] = await saveStream(source)
      .then(async (saved) => await withRegisters(t, saved, one))
      .finally(async () => await source.close());
    const theirs = await dump(qemu!, args, stream);
    const path = join(work, "core");
    const run = await qevm(["extract", stream, "--format", "elf", "--out", path]);
    t.equal(run.code, 0, run.stderr);
    const ours = readFileSync(path);
    const number = one.data === 1 ? ours.readUInt16LE(18) : ours.readUInt16BE(18);
    t.deepEqual([ours[5], number], [one.data, one.machine], "byte order and machine");
    if (ours[5] !== theirs[5])
      t.equal(one.name, "ppc64, kernel little-endian", "QEMU 7.2 writes all of them big-endian");
    else t.ok(ours.subarray(0, 32).equals(theirs.subarray(0, 32)), "class, byte order, type and machine");
    const [a, b] = [coreParts(ours), coreParts(theirs)];
    t.deepEqual(
      a.loads.map(({ address, length }) => [address, length]),
      b.loads.map(({ address, length }) => [address, length]),
      "PT_LOAD",
    );
    a.loads.forEach(({ at, address, length }, k) => {
      const there = b.loads[k]?.at ?? 0;
      t.ok(
        ours.subarray(at, at + length).equals(theirs.subarray(there, there + length)),
        `bytes at 0x${address.toString(16)}`,
      );
    });
    t.deepEqual(
      a.notes.map(({ name, type }) => `${name} ${type}`),
      b.notes.map(({ name, type }) => `${name} ${type}`),
      "notes",
    );
    a.notes.forEach(({ name, type, content }, k) => {
      const expected = Buffer.from(b.notes[k]?.content ?? []);
      if (ours[5] !== theirs[5]) reverse(expected, type);
      // The pid: QEMU leaves it in its host's byte order on s390x, and at 0 on ppc64, where gdb takes it for a thread that has ended.
      if (one.name === "s390x" && type === 1) expected.subarray(32, 36).reverse();
      if (one.name.startsWith("ppc64") && type === 1) expected.writeUInt32BE(k < 5 ? 1 : 2, 32);
      if (ours[5] !== theirs[5] && type === 1) expected.writeUInt32LE(1, 32);
      const at = content.findIndex((byte, i) => byte !== expected[i]);
      t.deepEqual([content.length, at], [expected.length, -1], `${name} ${type}`);
    });
    debuggers(t, path, one, cpu);
  });
}

/** A POWER note in the other byte order: vectors have 128 bits, vscr 32, all else 64. */
function reverse(note: Buffer, type: number): void {
  if (type === 0x100) {
    for (let at = 0; at < 512; at += 16) note.subarray(at, at + 16).reverse();
    note.subarray(524, 528).reverse();
  } else {
    note.subarray(0, note.length - (note.length % 8)).swap64();
  }
}

/** readelf has nothing to complain about; gdb knows a register, where one for many machines is installed. */
function debuggers(t: test.Test, path: string, { gdb: [register, field, index], data }: Case, cpu: Device): void {
  const readelf = spawnSync("readelf", ["-a", path], { encoding: "utf8" });
  if (readelf.error !== undefined) t.skip("no readelf here");
  else t.deepEqual([readelf.status, readelf.stderr.trim()], [0, ""], "readelf");
  const value = cpu.fields[field]!;
  const number = BigInt((index === undefined ? value : (value as Value[])[index]!) as string | number);
  const run = spawnSync(
    "gdb-multiarch",
    [
      "-nx",
      "-batch",
      "-ex",
      `set endian ${data === 1 ? "little" : "big"}`,
      "-ex",
      `core ${path}`,
      "-ex",
      `p/x $${register}`,
    ],
    { encoding: "utf8" },
  );
  if (run.error !== undefined) t.skip("no gdb-multiarch here");
  else t.match(run.stdout, new RegExp(`= 0x${number.toString(16)}\n`, "u"), `gdb: ${register}`);
}

/** Captures of the corpus: the machine, and runs of registers in NT_PRSTATUS as `info registers` printed them. */
const CAPTURES: readonly [
  name: string,
  machine: number,
  runs: readonly [at: number, printed: RegExp, count: number][],
][] = [
  [
    "aarch64-virt",
    183,
    [
      [112, /\bX\d\d=([0-9a-f]{16})/gu, 31],
      [360, /\bSP=([0-9a-f]{16})/gu, 1],
      [368, /\bPC=([0-9a-f]{16})/gu, 1],
      [376, /\bPSTATE=([0-9a-f]{8})/gu, 1],
    ],
  ],
  [
    "riscv64-virt",
    243,
    [
      [112, /^ pc +([0-9a-f]{16})/gmu, 1],
      [120, /\bx(?:[1-9]|\d\d)\/\w+ +([0-9a-f]{16})/gu, 31],
    ],
  ],
  [
    "s390x",
    22,
    [
      [112, /^PSW=mask ([0-9a-f]{16})/gmu, 1],
      [120, /^PSW=.* addr ([0-9a-f]{16})/gmu, 1],
      [128, /\bR\d\d=([0-9a-f]{16})/gu, 16],
    ],
  ],
  [
    "ppc64-pseries",
    21,
    [
      [112, /^GPR\d\d((?: [0-9a-f]{16}){4})/gmu, 32],
      [368, /^NIP ([0-9a-f]{16})/gmu, 1],
      [376, /^MSR ([0-9a-f]{16})/gmu, 1],
      [416, /^CR ([0-9a-f]{8})/gmu, 1],
    ],
  ],
  ["arm-integratorcp", 40, []],
];

for (const [name, machine, runs] of CAPTURES) {
  test(`without QEMU: ${name}`, async (t) => {
    const entry = corpusEntry(name);
    const path = join(work, "core");
    writeFileSync(join(work, "stream"), entry.open());
    const run = await qevm(["extract", join(work, "stream"), "--format", "elf", "--out", path]);
    t.equal(run.code, 0, run.stderr);
    const core = readFileSync(path);
    const big = core[5] === 2;
    t.equal(big ? core.readUInt16BE(18) : core.readUInt16LE(18), machine, "machine");
    const { notes } = coreParts(core);
    t.equal(notes.length > 0, runs.length > 0, runs.length > 0 ? "notes" : "a CPU of 32 bits has no notes");
    for (const [at, printed, count] of runs) {
      const numbers = [...entry.truth.registers.matchAll(printed)].flatMap(([, list = ""]) => list.trim().split(" "));
      const status = notes[0]!.content;
      const found = numbers.map((_, k) =>
        big ? status.readBigUInt64BE(at + 8 * k) : status.readBigUInt64LE(at + 8 * k),
      );
      t.equal(numbers.length, count);
      t.deepEqual(
        found,
        numbers.map((digits) => BigInt(`0x${digits}`)),
        `at ${at}`,
      );
    }
    const readelf = spawnSync("readelf", [runs.length > 0 ? "-a" : "-hln", path], { encoding: "utf8" });
    if (readelf.error !== undefined) t.skip("no readelf here");
    else t.deepEqual([readelf.status, readelf.stderr.trim()], [0, ""], "readelf");
  });
}
