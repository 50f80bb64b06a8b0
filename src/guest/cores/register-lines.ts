import type { CpuRegisters, SegmentRegister } from "./cpu.js";

const GENERAL = "rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15".split(" ");
/** The bits of EFLAGS that have names. */
export const FLAGS: readonly [number, string][] = [
  [0, "CF"],
  [2, "PF"],
  [4, "AF"],
  [6, "ZF"],
  [7, "SF"],
  [8, "TF"],
  [9, "IF"],
  [10, "DF"],
  [11, "OF"],
  [14, "NT"],
  [16, "RF"],
  [17, "VM"],
  [18, "AC"],
];
/** The attribute bits in the second word of a descriptor, without base bits, as in `info registers`. */
const ATTRIBUTES = 0xffff00n;

/** The registers of an x86 CPU with names, in hexadecimal, several per line. */
export function registerLines({ general, segments, control, debug, msrs }: CpuRegisters): string[] {
  const wide = general["r8"] !== undefined;
  const name = (register: string): string => (wide ? register : register.replace(/^r/u, "e"));
  const present = GENERAL.filter((register) => general[register] !== undefined);
  const flags = general["rflags"]!;
  const set = FLAGS.filter(([bit]) => ((flags >> BigInt(bit)) & 1n) === 1n).map(([, flag]) => flag);
  return [
    ...rows(present.map((register) => [name(register), general[register]!])),
    `  ${cell(name("rip"), general["rip"]!)}  ${cell(name("rflags"), flags)}  [${set.join(" ")}]`,
    ...Object.entries(segments).map(([segment, values]) => segmentLine(segment, values)),
    ...rows(Object.entries(control)),
    ...rows(Object.entries(debug), 3),
    ...Object.entries(msrs).map(([msr, value]) => `  ${msr.padEnd(16)} ${hex(value, 16)}`),
  ];
}

function rows(registers: readonly (readonly [string, bigint])[], width = 4): string[] {
  const lines: string[] = [];
  for (let k = 0; k < registers.length; k += width) {
    const line = registers.slice(k, k + width).map(([register, value]) => cell(register, value));
    lines.push(`  ${line.join("  ")}`);
  }
  return lines;
}

function cell(register: string, value: bigint): string {
  return `${register.padEnd(3)} ${hex(value, 16)}`;
}

function segmentLine(name: string, { selector, base, limit, flags }: SegmentRegister): string {
  const where = `base ${hex(base, 16)}  limit ${hex(limit, 8)}`;
  // The descriptor tables have neither selector nor attributes.
  if (name === "gdt" || name === "idt") return `  ${name.padEnd(3)}       ${where}`;
  return `  ${name.padEnd(3)} ${hex(selector, 4)}  ${where}  attributes ${hex(flags & ATTRIBUTES, 8)}`;
}

function hex(value: bigint, digits: number): string {
  return BigInt.asUintN(64, value).toString(16).padStart(digits, "0");
}
