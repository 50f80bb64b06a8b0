import { hexOf } from "../../bytes/text.js";
import type { VgaRegisters } from "../layout-types.js";
import { deviceToPlain, type DeviceState } from "../../codec/vmstate/index.js";

/** Address and length of the window. */
export const VGA_WINDOW = 0xa0000;
export const VGA_WINDOW_LENGTH = 0x20000;

/** The section of an ISA adapter that has its registers (QEMU 11.1). */
export const ISA_VGA_SECTION = "vga-isa";

/**
 * The VGA registers in a device's state; undefined where there are none. The section "vga" of an ISA adapter contains
 * other memory, see `hasNoPath`.
 */
export function vgaRegisters(idstr: string, state: DeviceState): VgaRegisters | undefined {
  const [, path = "", name] = /^(?:(.+)\/)?(vga|vga-isa|virtio-vga|qxl|cirrus_vga)$/u.exec(idstr) ?? [];
  if (name === undefined || (path === "" && name !== "vga" && name !== ISA_VGA_SECTION)) return undefined;
  const fields = deviceToPlain(state).fields as Record<string, unknown>;
  const cirrus = name === "cirrus_vga";
  const vga: unknown = path === "" && name === "vga" ? fields : fields[STRUCTURES[name] ?? "vga"];
  if (typeof vga !== "object" || vga === null) return undefined;
  return cirrus
    ? cirrusRegisters(path, vga as Record<string, unknown>)
    : plainRegisters(path, vga as Record<string, unknown>);
}

/** The field with the registers, if not "vga"; VMware's are at the top level. */
const STRUCTURES: Readonly<Record<string, string>> = { cirrus_vga: "cirrus_vga", [ISA_VGA_SECTION]: "state" };

function plainRegisters(path: string, vga: Record<string, unknown>): VgaRegisters | undefined {
  const { sr, gr, bank_offset: bankOffset } = vga;
  if (typeof sr !== "string" || typeof gr !== "string" || sr.length < 16 || gr.length < 32) return undefined;
  return { path, sr, gr, bankOffset: Number(bankOffset ?? 0) };
}

/** Cirrus stores the first two graphics registers separately, 8 bits wide; in a VGA they have 4 bits. */
function cirrusRegisters(path: string, fields: Record<string, unknown>): VgaRegisters | undefined {
  const { "vga.sr": sr, "vga.gr": rest, "vga.bank_offset": bankOffset } = fields;
  if (typeof sr !== "string" || typeof rest !== "string" || sr.length < 512 || rest.length < 508) return undefined;
  const first = [fields["cirrus_shadow_gr0"], fields["cirrus_shadow_gr1"]].map((value) => Number(value ?? 0) & 0x0f);
  const gr = hexOf(Uint8Array.from(first)) + rest;
  return { path, sr, gr, bankOffset: Number(bankOffset ?? 0), cirrus: true };
}

/**
 * Whether this is a display adapter's section without a PCI path: VMware's, or one of an ISA adapter. For the latter
 * QEMU up to 10.0 (tested: 5.2, 7.2 and 10.0; the Cirrus also in 11.1) saves other memory instead of the registers, so
 * they are not in the stream.
 */
export function hasNoPath(idstr: string): boolean {
  return idstr === "vga" || idstr === "cirrus_vga" || idstr === ISA_VGA_SECTION;
}

/** An adapter's memory: bytes in memory, or bytes that are read on demand. */
export interface Vram {
  readonly length: number;
  /** The byte at an offset, which is 0 to `length` - 1. */
  at(offset: number): number | undefined;
}
