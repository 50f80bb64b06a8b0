import { QevmError } from "../../bytes/errors.js";
import { NOTE_HEAD } from "../cores/vmcoreinfo-place.js";
import type { CpuState } from "../cores/cpu-state.js";
import { addressSpaceOf, readVirtual, type MachineFacts, type PhysicalMemory } from "../walk/index.js";

/** Bytes of a name in Linux's `struct new_utsname`: sysname, nodename, release, version, machine, domainname. */
export const UTS_NAME = 65;
const NAMES = 6;

/**
 * Linux's `struct new_utsname` (390 bytes) at the address that the guest's VMCOREINFO tells, by the page tables of the
 * first CPU that maps it. Undefined where there is none, or another release than in the note.
 *
 * Source: Linux kernel/crash_core.c (SYMBOL(init_uts_ns), OFFSET(uts_namespace.name)), include/uapi/linux/utsname.h.
 */
export async function utsnameOf(
  note: Uint8Array,
  cpus: readonly CpuState[],
  memory: PhysicalMemory,
  machine: MachineFacts,
): Promise<Uint8Array | undefined> {
  const text = Buffer.from(note).toString("latin1", NOTE_HEAD);
  const [, symbol] = /^SYMBOL\(init_uts_ns\)=([\da-f]{1,16})$/mu.exec(text) ?? [];
  const [, offset = "0"] = /^OFFSET\(uts_namespace\.name\)=(\d{1,9})$/mu.exec(text) ?? [];
  const [, release] = /^OSRELEASE=(\S+)$/mu.exec(text) ?? [];
  if (symbol === undefined || release === undefined) return undefined;
  for (const cpu of cpus) {
    try {
      const space = addressSpaceOf(cpu, memory, machine);
      const bytes = await readVirtual(space, BigInt(`0x${symbol}`) + BigInt(offset), NAMES * UTS_NAME);
      if (isUtsname(bytes, release)) return bytes;
    } catch (error) {
      if (!(error instanceof QevmError) || (error.code !== "usage" && error.code !== "unsupported")) throw error;
    }
  }
  return undefined;
}

function isUtsname(bytes: Uint8Array, release: string): boolean {
  const names = Array.from({ length: NAMES }, (_, k) => nameAt(bytes, k));
  return names[0] === "Linux" && names[2] === release && !names.includes(undefined);
}

/** A name by its number; undefined without its NUL. */
export function nameAt(bytes: Uint8Array, k: number): string | undefined {
  const text = Buffer.from(bytes.subarray(k * UTS_NAME, (k + 1) * UTS_NAME)).toString("latin1");
  const end = text.indexOf("\0");
  return end < 0 ? undefined : text.slice(0, end);
}
