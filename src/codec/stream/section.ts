import { hex, type Diagnostics } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import { TypeByte, type SectionType } from "./types.js";

/**
 * Section headers and footers.
 *
 * | START 0x01, FULL 0x04                                                       | PART 0x02, END 0x03 |
 * |-----------------------------------------------------------------------------|---------------------|
 * | u8 type, be32 section_id, str8 idstr, be32 instance_id, be32 version_id     | u8 type, be32 section_id |
 *
 * Footer, after every payload unless send-section-footer=off (machine types up to 2.3): u8 0x7e, be32 section_id.
 * A payload carries no length.
 *
 * Source: QEMU migration/savevm.c save_section_header, save_section_footer (5.2 to 11.1).
 */
export interface SectionHeader {
  type: SectionType;
  sectionId: number;
  /** START and FULL: on the wire. PART and END: from the START of this section_id. */
  idstr: string;
  instanceId: number;
  versionId: number;
}

/** Bytes of a FULL header without its idstr. */
export const HEADER = 14;
/** Version ids of QEMU's sections are small numbers, or a date (`eeprom`: 20061112): none is higher. */
export const LATEST_VERSION = 0x2000000;

const TYPE_BYTES: Readonly<Record<SectionType, number>> = {
  start: TypeByte.SECTION_START,
  part: TypeByte.SECTION_PART,
  end: TypeByte.SECTION_END,
  full: TypeByte.SECTION_FULL,
};

/** Reads a START or FULL header, its type byte included. */
export async function decodeFullHeader(reader: QemuFileReader, type: "start" | "full"): Promise<SectionHeader> {
  await reader.need(6, "section header");
  await reader.need(6 + reader.peek(5) + 8, "section header");
  reader.skip(1);
  return {
    type,
    sectionId: reader.u32(),
    idstr: reader.string8("section name"),
    instanceId: reader.u32(),
    versionId: reader.u32(),
  };
}

/** Reads a PART or END header, its type byte included; returns the section_id. */
export async function decodePartHeader(reader: QemuFileReader): Promise<number> {
  await reader.need(5, "section header");
  reader.skip(1);
  return reader.u32();
}

/**
 * Writes a section header, its type byte included; for PART and END only the section_id. Errors: does-not-fit (a name
 * of more than 255 bytes, a number of more than 32 bits).
 */
export function encodeSectionHeader(writer: QemuFileWriter, header: SectionHeader): void {
  writer.u8(TYPE_BYTES[header.type]);
  writer.u32(header.sectionId);
  if (header.type === "part" || header.type === "end") return;
  writer.string8(header.idstr, "section name");
  writer.u32(header.instanceId);
  writer.u32(header.versionId);
}

/** Reads a footer, its type byte included; returns the section_id. */
export async function decodeFooter(reader: QemuFileReader): Promise<number> {
  await reader.need(5, "section footer");
  reader.skip(1);
  return reader.u32();
}

/**
 * The footer after a payload; its section_id, or undefined where there is none. `footers` says whether sections of this
 * stream have them; undefined: not known yet. Errors: bad-footer (lenient mode skips it), truncated.
 */
export async function nextFooter(
  reader: QemuFileReader,
  diagnostics: Diagnostics,
  expected: number,
  footers: boolean | undefined,
): Promise<number | undefined> {
  const { offset } = reader;
  const present = (await reader.fill(1)) && reader.peek() === TypeByte.SECTION_FOOTER;
  if (footers !== undefined && present !== footers && (present || (await reader.fill(1)))) {
    const where = { offset, expected: footers ? "0x7e" : "none", found: hex(Math.max(0, reader.peek())) };
    diagnostics.anomaly(reader.error("bad-footer", "section footer", where));
  }
  if (!present) return undefined;
  const sectionId = await decodeFooter(reader);
  if (sectionId !== expected) {
    const where = { offset: offset + 1, expected: `${expected}`, found: `${sectionId}` };
    diagnostics.anomaly(reader.error("bad-footer", "section_id in the section footer", where));
  }
  return sectionId;
}

/** QEMU writes "ram" in version 4, and loads no other. */
export function checkRamVersion(reader: QemuFileReader, diagnostics: Diagnostics, { versionId }: SectionHeader): void {
  if (versionId === 4) return;
  const place = { expected: "4", found: `${versionId}` };
  diagnostics.anomaly(reader.error("unsupported-version", 'version of section "ram"', place));
}

/** The twin of `decodeFooter`, its type byte included: 5 bytes. Errors: does-not-fit (an id of more than 32 bits). */
export function encodeFooter(writer: QemuFileWriter, sectionId: number): void {
  writer.u8(TypeByte.SECTION_FOOTER);
  writer.u32(sectionId);
}

/** What was read last must have ended within the package. Errors: bad-length. */
export function checkPackageEnd(reader: QemuFileReader, packageEnd: number | undefined): void {
  if (packageEnd === undefined || reader.offset <= packageEnd) return;
  throw reader.error("bad-length", "the package ends inside a section or command", {
    offset: packageEnd,
    expected: `an end at byte ${hex(reader.offset)} or later`,
    found: hex(packageEnd),
  });
}
