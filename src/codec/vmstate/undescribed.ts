import type { FieldDescription, StructDescription } from "./description.js";

/**
 * Up to QEMU 9.2 an array of pointers whose first is NULL is described as NULL only; the stream does not describe the
 * other elements. This table holds the known arrays, by vmsd and field.
 *
 * | vmsd       | field | element                                                                |
 * |------------|-------|------------------------------------------------------------------------|
 * | `s390_css` | `css` | `s390_css_img`: 256 x `s390_chp_info` { u8 in_use, u8 type, u8 is_virtual } |
 *
 * Source: QEMU 10.0's own description of the same section.
 */
const KNOWN = new Map<string, StructDescription>([["s390_css/css", channelSubsystemImage()]]);

/** The struct that a NULL pointer's field would point to, where it is not described but known. */
export function undescribedStruct(
  vmsdName: string | undefined,
  entry: FieldDescription,
): StructDescription | undefined {
  return entry.struct === null && vmsdName !== undefined ? KNOWN.get(`${vmsdName}/${entry.name}`) : undefined;
}

function channelSubsystemImage(): StructDescription {
  const info: StructDescription = {
    vmsdName: "s390_chp_info",
    version: 1,
    fields: ["in_use", "type", "is_virtual"].map((name) => ({ name, type: "uint8", size: 1 })),
  };
  return {
    vmsdName: "s390_css_img",
    version: 1,
    fields: [{ name: "chpids", arrayLength: 256, type: "struct", struct: info, size: 3 }],
  };
}
