import { type CoreCpu, type CoreNote, NoteContent } from "./core-note.js";
import type { CpuRegisters } from "./cpu.js";

/** The order of the registers in a Linux x86_64 prstatus. */
const PRSTATUS =
  "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs rflags rsp ss fs_base gs_base ds es fs gs".split(
    " ",
  );
const QEMU_GENERAL = "rax rbx rcx rdx rsi rdi rsp rbp r8 r9 r10 r11 r12 r13 r14 r15 rip rflags".split(" ");
const QEMU_SEGMENTS = "cs ds es fs gs ss ldt tr gdt idt".split(" ");

/** The order of the words in a Linux i386 prstatus. Segment selectors use 16 bits of their word. */
const PRSTATUS_32 = "rbx rcx rdx rsi rdi rbp rax ds es fs gs orig_eax rip cs rflags rsp ss".split(" ");
const EM_386 = 3;
const EM_X86_64 = 62;
/** EFER.LMA: the CPU is in long mode. */
const LONG_MODE = 0x400n;

/**
 * x86 CPUs as in QEMU's dump-guest-memory: a "CORE" NT_PRSTATUS per CPU, then a "QEMU" note of type 0 per CPU (440
 * bytes: u32 version 1, u32 size, 18 registers, 10 segments of u32 selector, limit, flags, pad, u64 base, cr0 to cr4,
 * kernel_gs_base).
 *
 * The first CPU's mode decides the form of NT_PRSTATUS and e_machine: x86_64 in long mode (336 bytes: 32 zero, u32 pid,
 * 76 zero, 27 registers, 8 zero), else i386 (144 bytes: 24 zero, u32 pid, 44 zero, 17 words, 4 zero). Source: QEMU
 * target/i386/arch_dump.c (7.2).
 */
export function x86Cpus(cpus: readonly CpuRegisters[]): CoreCpu[] {
  const long = ((cpus[0]?.msrs["EFER"] ?? 0n) & LONG_MODE) !== 0n;
  return cpus.map((cpu) => ({
    machine: long ? EM_X86_64 : EM_386,
    littleEndian: true,
    notes: (index) => [{ name: "CORE", type: 1, content: long ? prstatus(cpu, index) : prstatus32(cpu, index) }],
    later: (): CoreNote[] => [{ name: "QEMU", type: 0, content: qemuState(cpu) }],
  }));
}

function prstatus(cpu: CpuRegisters, index: number): Uint8Array {
  const values: Record<string, bigint> = {
    ...cpu.general,
    fs_base: cpu.segments["fs"]!.base,
    gs_base: cpu.segments["gs"]!.base,
  };
  for (const name of ["cs", "ss", "ds", "es", "fs", "gs"]) values[name] = cpu.segments[name]!.selector;
  const registers = PRSTATUS.map((name) => values[name] ?? 0n);
  return new NoteContent(336, true).u32(32, BigInt(index + 1)).u64(112, ...registers).bytes;
}

function prstatus32(cpu: CpuRegisters, index: number): Uint8Array {
  const registers = PRSTATUS_32.map((name) => cpu.segments[name]?.selector ?? cpu.general[name] ?? 0n);
  return new NoteContent(144, true).u32(24, BigInt(index + 1)).u32(72, ...registers).bytes;
}

function qemuState(cpu: CpuRegisters): Uint8Array {
  const content = new NoteContent(440, true).u32(0, 1n, 440n);
  content.u64(8, ...QEMU_GENERAL.map((name) => cpu.general[name] ?? 0n));
  QEMU_SEGMENTS.forEach((name, k) => {
    const { selector, limit, flags, base } = cpu.segments[name]!;
    content.u32(152 + 24 * k, selector, limit, flags).u64(168 + 24 * k, base);
  });
  for (const k of [0, 2, 3, 4]) content.u64(392 + 8 * k, cpu.control[`cr${k}`] ?? 0n);
  return content.u64(432, cpu.msrs["KERNEL_GS_BASE"] ?? 0n).bytes;
}
