import { GENERAL, MSRS, SEGMENTS } from "./cpu.js";

/** Machine types of x86 begin so (QEMU hw/i386). */
const X86 = /^(?:pc|isapc|microvm|xenfv|xenpv)/u;

/** x86 fields that are one register each. */
const SINGLE: ReadonlyMap<string, string> = new Map([
  ["env.eip", "rip"],
  ["env.eflags", "rflags"],
  ["env.xcr0", "xcr0"],
  ...["ldt", "tr", "gdt", "idt"].map((name) => [`env.${name}`, name] as const),
  ...[0, 2, 3, 4].map((n) => [`env.cr[${n}]`, `cr${n}`] as const),
  ...Object.entries(MSRS).map(([name, path]) => [path, name] as const),
]);

/**
 * The name of the register that a value of a "cpu" section belongs to: `rax` for `env.regs[0]`. Undefined: it is none,
 * or the architecture is not known by its registers here (x86, 64-bit Arm).
 * @param machine the stream's machine type; null: not known
 */
export function registerName(machine: string | null, device: string, path: string): string | undefined {
  if (device !== "cpu" && !device.endsWith("/cpu")) return undefined;
  const bare = path.replace(/^subsections\.[^.]+\./u, "");
  const [, array = "", digits = "", rest = ""] = /^env\.(\w+)\[(\d+)\](.*)$/u.exec(bare) ?? [];
  if (machine !== null && X86.test(machine)) return x86Register(bare, array, Number(digits), rest);
  // Only 64-bit Arm has arrays of this name (QEMU target/arm/machine.c).
  if (array === "xregs" && rest === "") return Number(digits) < 31 ? `x${digits}` : "sp";
  return undefined;
}

function x86Register(path: string, array: string, index: number, rest: string): string | undefined {
  if (array === "regs" && rest === "") return GENERAL[index];
  if (array === "segs") return SEGMENTS[index];
  if (array === "dr" && rest === "") return `dr${index}`;
  // Parts of a descriptor: `env.gdt.base`.
  return SINGLE.get(path) ?? SINGLE.get(path.replace(/\.(?:selector|base|limit|flags)$/u, ""));
}
