import { deviceToPlain, type DeviceState } from "../../codec/vmstate/index.js";

/**
 * A Linux guest's VMCOREINFO note: kernel data for debuggers. The guest passes its address to the `vmcoreinfo` device.
 * Without that device the note is still in guest memory, at the start of a page.
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
  /** Length in bytes. */
  length: number;
}

/** Maximum length of a note; kernels write some kilobytes. */
export const LONGEST_NOTE = 1 << 20;
/** Size of the note before its text. */
export const NOTE_HEAD = 24;
/** The device's name for an ELF note. */
const FORMAT_ELF = 1n;

/**
 * The address in the `vmcoreinfo` device (QEMU hw/misc/vmcoreinfo.c, 2.12 to 11.1); undefined where the guest has not
 * set it.
 */
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
