/** Guest memory for page tables, and CPUs of each architecture whose registers say where they are. */
import { QevmError } from "../../src/bytes/errors.js";
import type { Architecture, CpuState } from "../../src/guest/cores/cpu-state.js";
import { mappedRanges, type AddressSpace, type MachineFacts } from "../../src/guest/walk/index.js";
import type { TableRoom } from "./page-tables.js";
import { hex, MIB } from "./virtual-modes.js";

export const LENGTH = 4 * MIB;

/** Guest memory from `base` on. */
export class Ram {
  readonly bytes = new Uint8Array(LENGTH);
  readonly room: TableRoom;
  reads = 0;

  constructor(readonly base = 0) {
    this.room = { ram: this.bytes, base, next: MIB };
  }

  readPhysical(address: number, length: number): Promise<Uint8Array> {
    this.reads++;
    const at = address - this.base;
    if (at < 0 || at + length > LENGTH) return Promise.reject(new QevmError("usage", "no memory"));
    return Promise.resolve(this.bytes.slice(at, at + length));
  }

  set(address: number, entry: bigint, little: boolean): void {
    new DataView(this.bytes.buffer).setBigUint64(address - this.base, entry, little);
  }
}

export type Fields = Record<string, unknown>;

export function cpu(architecture: Architecture, fields: Fields, subsections: Record<string, Fields> = {}): CpuState {
  return { architecture, instance: 0, device: { fields, subsections } as unknown as CpuState["device"] };
}

export function x86Cpu(
  kind: "32" | "pae" | "4" | "5" | "off",
  root: number,
  { pse = true, nx = true, more = {} } = {},
): CpuState {
  const cr4 = (pse ? 0x10n : 0n) | (kind === "32" ? 0n : 0x20n) | (kind === "5" ? 0x1000n : 0n);
  const efer = (kind === "4" || kind === "5" ? 0x400n : 0n) | (nx ? 0x800n : 0n);
  return cpu("x86", {
    "env.cr[0]": hex(kind === "off" ? 0x11n : 0x8000_0011n),
    "env.cr[3]": hex(root),
    "env.cr[4]": hex(cr4),
    "env.efer": hex(efer),
    "env.hflags": 0,
    "env.a20_mask": -1,
    ...more,
  });
}

export function armCpu(registers: Record<string, bigint>, pstate = 0x3c5): CpuState {
  const ids = Object.keys(registers).map((id) => `0x60300000001${id}`);
  return cpu("aarch64", {
    cpsr: pstate,
    cpreg_vmstate_array_len: ids.length,
    cpreg_vmstate_indexes: ids,
    cpreg_vmstate_values: Object.values(registers).map(hex),
  });
}

export function armEl1(root: number, { page = 12, size = 48, more = 0n }): CpuState {
  const tg0 = { 12: 0n, 14: 2n, 16: 1n }[page]!;
  const tcr = BigInt(64 - size) | (tg0 << 14n) | (1n << 23n) | (5n << 32n) | more;
  return armCpu({ "3c080": 1n, "3c100": BigInt(root), "3c101": 0n, "3c102": tcr | (2n << 30n) | (16n << 16n) });
}

export function riscvCpu(mode: bigint, root: number): CpuState {
  const satp = (mode << 60n) | BigInt(root / 4096);
  return cpu("riscv", { "env.misa_mxl": 2, "env.priv": 1, "env.satp": hex(satp), "env.mstatus": "0x0" });
}

export function s390Cpu(type: number, root: number, { prefix = 0, edat = true, low = 3n } = {}): CpuState {
  const control = Array.from({ length: 16 }, () => "0x0");
  control[0] = hex(edat ? 1n << 23n : 0n);
  control[1] = hex(BigInt(root) | (BigInt(type) << 2n) | low);
  const mask = hex((1n << 58n) | (3n << 31n));
  return cpu("s390x", { "env.psw.mask": mask, "env.psa": hex(prefix), "env.cregs": control });
}

export function powerCpu(msr: bigint, special: Record<number, bigint> = {}): CpuState {
  const spr = Array.from({ length: 1024 }, (_, k) => hex(special[k] ?? 0n));
  return cpu("ppc64", { "env.msr": hex(msr), "env.spr": spr });
}

/** A process table at the start of memory, with the tree of process 0. */
export function processTable(ram: Ram, root: number): MachineFacts {
  ram.set(ram.base, (2n << 61n) | (5n << 5n) | BigInt(root) | 13n, false);
  return { processTable: (1n << 63n) | BigInt(ram.base) };
}

export async function all(space: AddressSpace, options = {}): Promise<[bigint, bigint, bigint][]> {
  const found: [bigint, bigint, bigint][] = [];
  for await (const { virtual, physical, length } of mappedRanges(space, options))
    found.push([virtual, physical, length]);
  return found;
}
