import { hex } from "../../bytes/errors.js";
import { latin1 } from "../../bytes/index.js";
import { hexOf } from "../../bytes/text.js";
import { encodeRecord, type RamBatch } from "../../codec/ram/index.js";
import { encodeBlockEntry } from "../../codec/ram/block-list.js";
import type { MappedBlock, RamBlock } from "../../codec/ram/state.js";
import { encodeSectionRecord, type SectionRecord } from "../../codec/sections/index.js";
import { encodeCommand } from "../../codec/stream/command.js";
import { encodeConfiguration } from "../../codec/stream/configuration.js";
import { encodeHeader } from "../../codec/stream/header.js";
import type { StreamItem } from "../../codec/stream/items.js";
import { encodeFooter, encodeSectionHeader } from "../../codec/stream/section.js";
import { deviceSpans, pathOf, valueAt, type DeviceState, type FieldValue } from "../../codec/vmstate/index.js";
import { sectionNames } from "./section-names.js";
import { TracedWriter } from "./traced-writer.js";
import type { DumpField } from "./types.js";

/** Bytes of a value that are shown. */
const MOST_SHOWN = 32;

/** What an encoder writes from `offset` on, with the names of its values in their order. */
function traced(offset: number, names: readonly string[], encode: (writer: TracedWriter) => void): DumpField[] {
  const writer = new TracedWriter(offset);
  encode(writer);
  return writer.values.map(({ value, offset: at, length }, k) => {
    const name = names[k] ?? `value ${k}`;
    return {
      field: name,
      streamOffset: at,
      length,
      value: shown(value, / name$|^idstr$|machine$|capability /u.test(name)),
    };
  });
}

function shown(value: FieldValue | undefined, isText = false): string | undefined {
  if (value instanceof Uint8Array) {
    if (isText) return JSON.stringify(latin1(value));
    return value.length <= MOST_SHOWN ? hexOf(value) : undefined;
  }
  if (typeof value === "number" || typeof value === "bigint")
    return value < 10 && value >= 0 ? `${value}` : `${value} (${hex(value)})`;
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "boolean") return String(value);
  return value === null ? "NULL" : undefined;
}

/** Fields of an item outside of its payload; of a command and of a configuration all. */
export function itemFields(item: StreamItem): DumpField[] {
  const { offset } = item;
  switch (item.kind) {
    case "header":
      return traced(offset, ["magic", "version"], (writer) => encodeHeader(writer, item));
    case "configuration":
      return traced(offset, configurationNames(item.configuration.subsections), (writer) =>
        encodeConfiguration(writer, item.configuration),
      );
    case "section": {
      const names = ["type", "section_id", "length of the name", "idstr", "instance_id", "version_id"];
      return traced(offset, names, (writer) => encodeSectionHeader(writer, item));
    }
    case "footer":
      return traced(offset, ["footer", "section_id"], (writer) => encodeFooter(writer, item.sectionId));
    case "command":
      return traced(offset, ["type", "number", "length"], (writer) => encodeCommand(writer, item.command));
    case "eof":
      return [{ field: "EOF", streamOffset: offset, length: 1, value: "0" }];
    case "vmdescription":
      return [
        { field: "type", streamOffset: offset, length: 1, value: "6" },
        { field: "length", streamOffset: offset + 1, length: 4, value: `${item.text.length}` },
        { field: "text", streamOffset: item.payloadOffset, length: item.text.length },
      ];
    default:
      return [];
  }
}

function configurationNames(subsections: readonly { name: string; capabilities?: readonly string[] }[]): string[] {
  const names = ["type", "length of the machine's name", "machine"];
  for (const { name, capabilities } of subsections) {
    names.push("subsection", "length of the name", "subsection name", "version");
    if (name === "configuration/target-page-bits") names.push("bits");
    else if (capabilities === undefined) names.push("uuid");
    else names.push("number of capabilities", ...capabilities.flatMap((_, k) => [`length of ${k}`, `capability ${k}`]));
  }
  return names;
}

const BODIES: Readonly<Record<string, readonly string[]>> = {
  zero: ["fill"],
  normal: ["page"],
  compressed: ["length", "compressed page"],
  xbzrle: ["mark", "length", "delta"],
};

/** Fields of a RAM record of a batch. */
export function recordFields(batch: RamBatch, i: number, kind: string, offset: number): DumpField[] {
  if (batch.area) return [{ field: "page", streamOffset: offset, length: Number(batch.block[i]!.mapped!.pageSize) }];
  const list = batch.blockList;
  const names = list === undefined ? ["offset and flags"] : ["total and flags"];
  if (list !== undefined) names.push(...list.blocks.flatMap((block, k) => entryNames(block, `blocks[${k}]`)));
  else if (batch.continues[i] !== 1 && batch.block[i] !== undefined) names.push("length of the name", "block name");
  names.push(...(BODIES[kind] ?? []));
  return traced(offset, names, (writer) => encodeRecord(writer, batch, i));
}

function entryNames({ pageSize, address, mapped }: RamBlock, path: string): string[] {
  const names = [`${path}: length of the name`, `${path} name`, `${path}.used_length`];
  if (pageSize !== undefined) names.push(`${path}.page_size`);
  if (address !== undefined) names.push(`${path}.address`);
  if (mapped !== undefined)
    names.push(...["version", "page_size", "bitmap_offset", "pages_offset"].map((name) => `${path}.mapped.${name}`));
  return names;
}

/** mapped-ram: the entry of a block, its bitmap and what is before its pages. */
export function mappedFields({ block, bitmap, gapLength }: MappedBlock, offset: number): DumpField[] {
  const fields = traced(offset, entryNames(block, `blocks[${block.index}]`), (writer) =>
    encodeBlockEntry(writer, block),
  );
  const end = fields.at(-1)!.streamOffset + fields.at(-1)!.length;
  fields.push({ field: "bitmap", streamOffset: end, length: bitmap.length });
  if (gapLength > 0)
    fields.push({ field: "gap before the pages", streamOffset: end + bitmap.length, length: gapLength });
  return fields;
}

/** A record of a section with a grammar of its own. */
export function sectionRecordFields(record: SectionRecord, offset: number): DumpField[] {
  return traced(offset, sectionNames(record), (writer) => encodeSectionRecord(writer, record));
}

/** All fields of a device that is not a struct or array itself, as its encoder writes them. */
export function deviceFields(state: DeviceState, offset: number, length: number): DumpField[] {
  const fields: DumpField[] = [];
  for (const { steps, from, to } of deviceSpans(state, offset, length))
    fields.push(deviceField(state, steps, from, to));
  return fields;
}

/** The field of a device that contains a byte. */
export function deviceFieldAt(state: DeviceState, offset: number, length: number, at: number): DumpField | undefined {
  for (const { steps, from, to } of deviceSpans(state, offset, length, at)) {
    if (from <= at && at < to) return deviceField(state, steps, from, to);
  }
  return undefined;
}

function deviceField(state: DeviceState, steps: readonly string[], offset: number, to: number): DumpField {
  const name = pathOf(steps);
  const value = shown(valueAt(state, steps));
  return { field: name, streamOffset: offset, length: to - offset, ...(value === undefined ? {} : { value }) };
}
