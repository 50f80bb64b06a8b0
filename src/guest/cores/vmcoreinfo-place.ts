import { deviceToPlain, type DeviceState } from "../../codec/vmstate/index.js";

/**
 * A Linux guest's VMCOREINFO note: what a debugger must know of the kernel. The guest hands its place to the `vmcoreinfo` device; where it
 * has no such device the note still lies in its memory, at the beginning of a page.
 *
 * | offset | size | field                              |
 * |--------|------|------------------------------------|
 * | 0      | u32  | bytes of the name, 11              |
 * | 4      | u32  | bytes of the text                  |
 * | 8      | u32  | type, 0                            |
 * | 12     | 12   | "VMCOREINFO", padded               |
 * | 24     |      | text, lines of KEY=value, padded   |
 */
export interface NotePlace {
  /** Guest-physical address. */
  address: number;
  /** Bytes. */
  length: number;
}

/** The longest note that is taken; kernels write some kilobytes. */
export const LONGEST_NOTE = 1 << 20;
/** Bytes before its text. */
export const NOTE_HEAD = 24;
/** The device's name for an ELF note. */
const FORMAT_ELF = 1n;

/** What the `vmcoreinfo` device remembers (QEMU hw/misc/vmcoreinfo.c, 2.12 to 11.1); undefined: the guest told it nothing. */
export function vmcoreinfoPlace(state: DeviceState): NotePlace | undefined {
  const fields = deviceToPlain(state).fields as Record<string, unknown>;
  const told = fields["has_vmcoreinfo"];
  if (told !== true && told !== 1) return undefined;
  const value = (name: string): bigint => {
    const found = fields[`vmcoreinfo.${name}`];
    return typeof found === "string" || typeof found === "number" ? BigInt(found) : 0n;
  };
  const length = Number(value("size"));
  const address = value("paddr");
  if (value("guest_format") !== FORMAT_ELF || length < NOTE_HEAD || length > LONGEST_NOTE) return undefined;
  return address > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : { address: Number(address), length };
}
