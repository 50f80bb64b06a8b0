/** The modes of page tables that QEMUs are asked about, each with its tables and registers. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { radixGuest, radixTable } from "../../tools/guest/targets.js";
import type { QemuProcess } from "../../tools/qemu/process.js";
import { armTables, radixTables, riscvTables, s390Tables, x86Tables } from "./page-tables.js";
import type { TableFormat } from "./page-tables.js";

export const MIB = 1 << 20;
export const PREFIX = 0x20000n;
/** Data for reading is in the guest's memory from here on; tables come after it. */
export const DATA = 1 * MIB;
export const TABLES = 4 * MIB;

export type Plain = { fields: Record<string, unknown>; subsections: Record<string, Record<string, unknown>> };

export interface Mode {
  name: string;
  /** Registers for tables with this root. */
  edit: (cpu: Plain, root: bigint) => void;
  /** Absent: no translation. */
  format?: TableFormat;
  /** A virtual address of the mode with these random bits. */
  virtual: (bits: bigint) => bigint;
  /** Bits of physical addresses, by level. */
  physical: (k: number) => number;
  /** Where its tables map anything; default: everywhere. */
  last?: bigint;
}

export interface Machine {
  name: string;
  program: string;
  args: string;
  block: string;
  /** Guest-physical address and length of main memory. */
  base: number;
  length: number;
  modes: readonly Mode[];
  /** Physical addresses outside of memory are refused by QEMU itself (s390x). */
  inside?: true;
  prepare?: (folder: string) => void;
  ready?: (vm: QemuProcess) => Promise<void>;
  /** Writes tables that all CPUs share. */
  shared?: (ram: Uint8Array, roots: readonly number[]) => void;
}

export const hex = (value: bigint | number): string => `0x${value.toString(16)}`;

function x86(name: string, kind: "32" | "pae" | "4" | "5", registers: [cr0: bigint, cr4: bigint, efer: bigint]): Mode {
  const format = x86Tables(kind);
  const bits = kind === "32" || kind === "pae" ? 32 : kind === "4" ? 48 : 57;
  return {
    name,
    format,
    edit: ({ fields }, root) => {
      const [cr0, cr4, efer] = registers;
      Object.assign(fields, {
        "env.cr[0]": hex(cr0),
        "env.cr[3]": hex(root),
        "env.cr[4]": hex(cr4),
        "env.efer": hex(efer),
      });
      const flags = Number(fields["env.hflags"]) & ~(1 << 14);
      fields["env.hflags"] = (efer & 0x400n) === 0n ? flags : flags | (1 << 14);
    },
    virtual: (random) =>
      BigInt.asUintN(bits > 32 ? 64 : 32, bits > 32 ? BigInt.asIntN(bits, random) : BigInt.asUintN(32, random)),
    physical: (k) => (kind !== "32" ? 52 : k === 0 ? 40 : 32),
  };
}

const PAGING = 0x8000_0011n;
const X86_MODES: readonly Mode[] = [
  {
    name: "real mode",
    edit: () => undefined,
    virtual: (bits) => BigInt.asUintN(32, bits),
    physical: () => 32,
  },
  x86("32 bits, PSE", "32", [PAGING, 0x10n, 0n]),
  x86("PAE", "pae", [PAGING, 0x20n, 0x800n]),
  x86("4 levels", "4", [PAGING, 0x20n, 0xd00n]),
  x86("5 levels", "5", [PAGING, 0x1020n, 0xd00n]),
  {
    name: "real mode, A20 closed",
    edit: ({ fields }) => (fields["env.a20_mask"] = -1 ^ MIB),
    virtual: (bits) => BigInt.asUintN(32, bits),
    physical: () => 32,
  },
];

/** Changes system registers of an ARM CPU by the numbers of their KVM ids. */
function system({ fields }: Plain, values: Record<string, bigint>): void {
  const ids = fields["cpreg_vmstate_indexes"] as string[];
  const list = fields["cpreg_vmstate_values"] as string[];
  for (const [id, value] of Object.entries(values)) {
    const at = ids.indexOf(`0x60300000001${id}`);
    if (at < 0) throw new Error(`no system register ${id}`);
    list[at] = hex(value);
  }
}

interface ArmKind {
  level: 1 | 2 | 3;
  vhe?: true;
  page: 12 | 14 | 16;
  size: number;
  top?: true;
  wide?: "64k" | "ds";
}

const GRANULE = { 12: [0n, 2n], 14: [2n, 1n], 16: [1n, 3n] } as const;

function arm(name: string, { level, vhe, page, size, top, wide }: ArmKind): Mode {
  const two = level === 1 || vhe === true;
  const ips = wide === undefined ? 5n : 6n;
  const zero = BigInt(64 - size);
  const [tg0, tg1] = GRANULE[page];
  const tcr = two
    ? zero |
      (zero << 16n) |
      (tg0 << 14n) |
      (tg1 << 30n) |
      (ips << 32n) |
      (wide === "ds" ? 1n << 59n : 0n) |
      (top ? 1n << 7n : 1n << 23n)
    : zero | (tg0 << 14n) | (ips << 16n) | (wide === "ds" ? 1n << 32n : 0n) | (1n << 31n) | (1n << 23n);
  const number = { 1: "3c", 2: "3e", 3: "3f" }[level];
  return {
    name,
    format: armTables(page, size, wide ?? "no"),
    edit: (cpu, root) => {
      cpu.fields["cpsr"] = 0x3c0 | (level << 2) | 1;
      // SCR_EL3: EL2 and EL1 are not secure, and of 64 bits. HCR_EL2: EL1 has 64 bits; VHE.
      const hcr = (1n << 31n) | (vhe === true ? (1n << 34n) | (1n << 27n) : 0n);
      system(cpu, { "3f088": 0x431n, "3e088": hcr, [`${number}080`]: 1n, [`${number}102`]: tcr });
      system(cpu, { [`${number}100`]: root, ...(two ? { [`${number}101`]: root } : {}) });
    },
    virtual: (bits) => {
      const low = BigInt.asUintN(size, bits);
      return top === true ? low | (((1n << BigInt(64 - size)) - 1n) << BigInt(size)) : low;
    },
    physical: () => (wide === undefined ? 48 : 52),
  };
}

const ARM_MODES: readonly Mode[] = [
  arm("EL1, 4 KiB, TTBR0", { level: 1, page: 12, size: 48 }),
  arm("EL1, 4 KiB, 39 bits, TTBR1", { level: 1, page: 12, size: 39, top: true }),
  arm("EL1, 16 KiB, TTBR1", { level: 1, page: 14, size: 47, top: true }),
  arm("EL1, 64 KiB, 52 bits", { level: 1, page: 16, size: 52, wide: "64k" }),
  arm("EL1, 4 KiB, LPA2", { level: 1, page: 12, size: 52, wide: "ds", top: true }),
  arm("EL2", { level: 2, page: 12, size: 42 }),
  arm("EL2 with VHE, 64 KiB", { level: 2, vhe: true, page: 16, size: 48, top: true }),
  arm("EL3, 16 KiB", { level: 3, page: 14, size: 36 }),
];

function riscv(size: number, mode: bigint): Mode {
  return {
    name: `Sv${size}`,
    format: riscvTables(size),
    edit: ({ fields }, root) => {
      // MXR and SUM, so that QEMU's read is allowed everywhere.
      const status = BigInt(fields["env.mstatus"] as string) | (3n << 18n);
      Object.assign(fields, {
        "env.satp": hex((mode << 60n) | (root >> 12n)),
        "env.priv": typeof fields["env.priv"] === "number" ? 1 : "0x1",
        "env.mstatus": hex(status),
      });
    },
    virtual: (bits) => BigInt.asUintN(64, BigInt.asIntN(size, bits)),
    physical: () => 50,
  };
}

const RISCV_MODES: readonly Mode[] = [
  { name: "machine mode", edit: () => undefined, virtual: (bits) => BigInt.asUintN(56, bits), physical: () => 56 },
  riscv(39, 8n),
  riscv(48, 9n),
  riscv(57, 10n),
];

function s390(name: string, type: number, home = false): Mode {
  const bits = [31, 42, 53, 64][type]!;
  return {
    name,
    format: s390Tables(type, false),
    edit: ({ fields }, root) => {
      // DAT, 64 bits, and home space; EDAT in control register 0.
      fields["env.psw.mask"] = hex((1n << 58n) | (3n << 31n) | (home ? 3n << 46n : 0n));
      fields["env.psa"] = hex(PREFIX);
      const control = fields["env.cregs"] as string[];
      control[0] = hex(BigInt(control[0]!) | (1n << 23n));
      control[home ? 13 : 1] = hex(root | (BigInt(type) << 2n) | 3n);
    },
    virtual: (random) => BigInt.asUintN(bits, random),
    physical: () => 25,
  };
}

const S390_MODES: readonly Mode[] = [
  {
    name: "DAT off, prefix",
    edit: ({ fields }) => Object.assign(fields, { "env.psw.mask": hex(3n << 31n), "env.psa": hex(0x6000) }),
    virtual: (bits) => BigInt.asUintN(16, bits),
    physical: () => 16,
  },
  s390("segment table", 0),
  s390("region third table", 1),
  s390("region second table, home space", 2, true),
  s390("region first table", 3),
];

function power(name: string, pid: number): Mode {
  return {
    name,
    format: radixTables(),
    edit: ({ fields }) => {
      fields["env.msr"] = hex((1n << 63n) | 0x30n);
      // Process 9 has no tree, so that quadrant 0 is empty.
      (fields["env.spr"] as string[])[48] = hex(pid === 0 ? 9 : pid);
    },
    virtual: (bits) => BigInt.asUintN(52, bits) | (pid === 0 ? 3n << 62n : 0n),
    physical: () => 56,
    // Quadrant 3 is process 0's, which is another mode.
    ...(pid === 0 ? {} : { last: (1n << 62n) - 1n }),
  };
}

const POWER_MODES: readonly Mode[] = [
  { name: "real mode", edit: () => undefined, virtual: (bits) => BigInt.asUintN(60, bits), physical: () => 60 },
  power("radix, quadrant 3", 0),
  power("radix, quadrant 0", 5),
];

export const MACHINES: readonly Machine[] = [
  {
    name: "x86_64",
    program: "qemu-system-x86_64",
    args: "-machine pc -cpu max,la57=on -m 48 -smp 6",
    block: "pc.ram",
    base: 0,
    length: 48 * MIB,
    modes: X86_MODES,
  },
  {
    name: "aarch64",
    program: "qemu-system-aarch64",
    args: "-machine virt,virtualization=on,secure=on -cpu max -m 48 -smp 8",
    block: "mach-virt.ram",
    base: 0x4000_0000,
    length: 48 * MIB,
    modes: ARM_MODES,
  },
  {
    name: "riscv64",
    program: "qemu-system-riscv64",
    args: "-machine virt -bios none -cpu rv64,pmp=off -m 48 -smp 4",
    block: "riscv_virt_board.ram",
    base: 0x8000_0000,
    length: 48 * MIB,
    modes: RISCV_MODES,
  },
  {
    name: "s390x",
    program: "qemu-system-s390x",
    args: "-machine s390-ccw-virtio -cpu max -m 48 -smp 5",
    block: "s390.ram",
    base: 0,
    length: 48 * MIB,
    modes: S390_MODES,
    inside: true,
  },
  {
    name: "ppc64",
    program: "qemu-system-ppc64",
    args: "-machine pseries -cpu power9 -m 256 -smp 3 -bios $DIR/guest",
    block: "ppc_spapr.ram",
    base: 0,
    length: 48 * MIB,
    modes: POWER_MODES,
    prepare: (folder) => writeFileSync(join(folder, "guest"), radixGuest()),
    ready: async (vm) => {
      for (let k = 0; k < 300 && !/4d41/u.test(await vm.human("xp /1wx 0x4000")); k++)
        await new Promise((resolve) => setTimeout(resolve, 50));
    },
    // Entry: the size of the addresses (52 = 31 + 21), the root, its 13 bits.
    shared: (ram, roots) => {
      const view = new DataView(ram.buffer, ram.byteOffset, ram.length);
      for (const [pid, root] of [
        [0, roots[1]!],
        [5, roots[2]!],
      ] as const)
        view.setBigUint64(radixTable + 16 * pid, (2n << 61n) | (5n << 5n) | BigInt(root) | 13n);
    },
  },
];
