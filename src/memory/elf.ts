import type { CpuRegisters, SegmentRegister } from "./cpu.js";
import type { Segment } from "./layout.js";

const HEADER = 64;
const PROGRAM_HEADER = 56;
/** The order of the registers in a Linux x86_64 prstatus. */
const PRSTATUS =
  "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs rflags rsp ss fs_base gs_base ds es fs gs".split(
    " ",
  );
const QEMU_GENERAL = "rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags".split(" ");
const QEMU_SEGMENTS = "cs ds es fs gs ss ldt tr gdt idt".split(" ");

/** The order of the words in a Linux i386 prstatus; segment selectors are 16 bits of them. */
const PRSTATUS_32 = "rbx rcx rdx rsi rdi rbp rax ds es fs gs orig_eax rip cs rflags rsp ss".split(" ");
const EM_386 = 3;
const EM_X86_64 = 62;
/** EFER.LMA: the CPU is in long mode. */
const LONG_MODE = 0x400n;

/** What a core's notes tell, beside its memory. */
export interface CoreNotes {
  cpus: readonly CpuRegisters[];
  /** The guest's VMCOREINFO note as it stands in its memory, header included. */
  vmcoreinfo?: Uint8Array | undefined;
  /** e_machine where there is no x86 CPU; default EM_X86_64. */
  machine?: number | undefined;
}

/**
 * The head of a 64-bit ELF core: header, program headers (one PT_NOTE, a PT_LOAD a segment), notes; the segments' bytes follow in
 * order. Notes as QEMU's dump-guest-memory writes them: a "CORE" NT_PRSTATUS a CPU, then a "QEMU" note of type 0 a CPU (440 bytes: u32
 * version 1, u32 size, 18 registers, 10 segments of u32 selector, limit, flags, pad, u64 base, cr0 to cr4, kernel_gs_base), then VMCOREINFO.
 *
 * NT_PRSTATUS is x86_64's where the first CPU is in long mode (336 bytes: 32 zero, u32 pid, 76 zero, 27 registers, 8 zero), else i386's
 * (144 bytes: 24 zero, u32 pid, 44 zero, 17 words, 4 zero), and so is the machine of the header. Where no memory reaches 4 GiB QEMU makes
 * such a guest's core an ELF of 32 bits; firmware ends there on every PC.
 * Source: QEMU dump/dump.c, target/i386/arch_dump.c (7.2).
 */
export function elfHead(segments: readonly Segment[], { cpus, vmcoreinfo, machine }: CoreNotes): Uint8Array {
  const [first] = cpus;
  const long = first === undefined || ((first.msrs["EFER"] ?? 0n) & LONG_MODE) !== 0n;
  const notes = [
    ...cpus.map((cpu, k) => note("CORE", 1, long ? prstatus(cpu, k) : prstatus32(cpu, k))),
    ...cpus.map((cpu) => note("QEMU", 0, qemuState(cpu))),
    ...(vmcoreinfo === undefined ? [] : [vmcoreinfo]),
  ];
  const notesAt = HEADER + PROGRAM_HEADER * (1 + segments.length);
  const notesLength = notes.reduce((sum, { length }) => sum + length, 0);
  const bytes = new Uint8Array(notesAt + notesLength);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 4, true);
  view.setUint16(18, long ? (machine ?? EM_X86_64) : EM_386, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(32, BigInt(HEADER), true);
  view.setUint16(52, HEADER, true);
  view.setUint16(54, PROGRAM_HEADER, true);
  view.setUint16(56, 1 + segments.length, true);
  programHeader(view, HEADER, { type: 4, offset: notesAt, address: 0, length: notesLength });
  let offset = bytes.length;
  segments.forEach(({ start, length }, k) => {
    programHeader(view, HEADER + PROGRAM_HEADER * (k + 1), { type: 1, offset, address: start, length });
    offset += length;
  });
  let at = notesAt;
  for (const one of notes) {
    bytes.set(one, at);
    at += one.length;
  }
  return bytes;
}

function programHeader(
  view: DataView,
  at: number,
  { type, offset, address, length }: { type: number; offset: number; address: number; length: number },
): void {
  view.setUint32(at, type, true);
  view.setBigUint64(at + 8, BigInt(offset), true);
  view.setBigUint64(at + 16, BigInt(address), true);
  view.setBigUint64(at + 24, BigInt(address), true);
  view.setBigUint64(at + 32, BigInt(length), true);
  view.setBigUint64(at + 40, BigInt(length), true);
}

/** u32 name length, u32 content length, u32 type, name and content, each filled up to 4. */
function note(name: string, type: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(12 + Math.ceil((name.length + 1) / 4) * 4 + Math.ceil(content.length / 4) * 4);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, name.length + 1, true);
  view.setUint32(4, content.length, true);
  view.setUint32(8, type, true);
  for (let k = 0; k < name.length; k++) bytes[12 + k] = name.charCodeAt(k);
  bytes.set(content, 12 + Math.ceil((name.length + 1) / 4) * 4);
  return bytes;
}

function prstatus(cpu: CpuRegisters, index: number): Uint8Array {
  const bytes = new Uint8Array(336);
  const view = new DataView(bytes.buffer);
  view.setUint32(32, index + 1, true);
  const values: Record<string, bigint> = {
    ...cpu.general,
    fs_base: cpu.segments["fs"]!.base,
    gs_base: cpu.segments["gs"]!.base,
  };
  for (const name of ["cs", "ss", "ds", "es", "fs", "gs"]) values[name] = cpu.segments[name]!.selector;
  PRSTATUS.forEach((name, k) => view.setBigUint64(112 + 8 * k, BigInt.asUintN(64, values[name] ?? 0n), true));
  return bytes;
}

function prstatus32(cpu: CpuRegisters, index: number): Uint8Array {
  const bytes = new Uint8Array(144);
  const view = new DataView(bytes.buffer);
  view.setUint32(24, index + 1, true);
  PRSTATUS_32.forEach((name, k) => {
    const value = cpu.segments[name]?.selector ?? cpu.general[name] ?? 0n;
    view.setUint32(72 + 4 * k, Number(BigInt.asUintN(32, value)), true);
  });
  return bytes;
}

function qemuState(cpu: CpuRegisters): Uint8Array {
  const bytes = new Uint8Array(440);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 1, true);
  view.setUint32(4, bytes.length, true);
  const put = (at: number, value: bigint): void => view.setBigUint64(at, BigInt.asUintN(64, value), true);
  QEMU_GENERAL.forEach((name, k) => put(8 + 8 * k, cpu.general[name] ?? 0n));
  QEMU_SEGMENTS.forEach((name, k) => segment(view, 152 + 24 * k, cpu.segments[name]!));
  for (const k of [0, 2, 3, 4]) put(392 + 8 * k, cpu.control[`cr${k}`] ?? 0n);
  put(432, cpu.msrs["KERNEL_GS_BASE"] ?? 0n);
  return bytes;
}

function segment(view: DataView, at: number, { selector, limit, flags, base }: SegmentRegister): void {
  view.setUint32(at, Number(BigInt.asUintN(32, selector)), true);
  view.setUint32(at + 4, Number(BigInt.asUintN(32, limit)), true);
  view.setUint32(at + 8, Number(BigInt.asUintN(32, flags)), true);
  view.setBigUint64(at + 16, BigInt.asUintN(64, base), true);
}
