/**
 * Top-level type bytes.
 *
 * Source: QEMU migration/savevm.h (5.2 to 11.1).
 */
export const TypeByte = {
  EOF: 0x00,
  SECTION_START: 0x01,
  SECTION_PART: 0x02,
  SECTION_END: 0x03,
  SECTION_FULL: 0x04,
  SUBSECTION: 0x05,
  VMDESCRIPTION: 0x06,
  CONFIGURATION: 0x07,
  COMMAND: 0x08,
  SECTION_FOOTER: 0x7e,
} as const;

/** Bytes of VMDESCRIPTION before its text: u8 type, be32 length. */
export const DESCRIPTION_HEADER = 5;

/** The four kinds of section header. */
export type SectionType = "start" | "part" | "end" | "full";
