import { hex } from "../../bytes/errors.js";
import { encodingOf } from "../../codec/ram/encodings.js";
import { PAGE_FLAGS, RamFlag } from "../../codec/ram/flags.js";
import type { RamBatch } from "../../codec/ram/index.js";
import { encodeSectionRecord } from "../../codec/sections/index.js";
import type { OpaqueItem, SectionItem, StreamItem, TrailingItem } from "../../codec/stream/items.js";
import type { StreamReader } from "../../codec/stream/index.js";
import { deviceFieldAt, deviceFields, itemFields, mappedFields, recordFields, sectionRecordFields } from "./fields.js";
import { TracedWriter } from "./traced-writer.js";
import type { DumpField, DumpUnit } from "./types.js";

/** What of a stream is wanted. */
interface UnitOptions {
  /** RAM records that end at or before this byte are left out. */
  from: number;
  /** Payloads of sections of this name only. */
  section: string | undefined;
  /** Called with the end of what is left out. */
  passed: (end: number) => void;
}

/**
 * The stretches of a stream, one after the other, from the first byte to the last one that is read. Errors: those of the reader.
 */
export async function* unitsOf(reader: StreamReader, options: UnitOptions): AsyncGenerator<DumpUnit> {
  for await (const item of reader) {
    const name = nameOf(item);
    const section = item.kind === "section" ? item.idstr : undefined;
    const fields = itemFields(item);
    const last = fields.at(-1);
    const end = last === undefined ? item.offset : last.streamOffset + last.length;
    const what = item.kind === "section" ? "header" : item.kind;
    if (end > item.offset)
      yield {
        part: name,
        section,
        unit: what,
        streamOffset: item.offset,
        length: end - item.offset,
        fields: () => fields,
      };
    if (item.kind === "section" && (options.section === undefined || options.section === item.idstr))
      yield* payload(item, name, options);
    else if (item.kind === "opaque" || item.kind === "trailing") yield* rest(item);
  }
}

function nameOf(item: StreamItem): string {
  if (item.kind === "section")
    return `section ${item.sectionId} ${JSON.stringify(item.idstr)}/${item.instanceId} (${item.type})`;
  if (item.kind === "footer") return `footer of section ${item.sectionId}`;
  return item.kind === "command" ? `command ${item.name}` : item.kind;
}

async function* payload(item: SectionItem, name: string, options: UnitOptions): AsyncGenerator<DumpUnit> {
  const { content, payloadOffset: offset, idstr: section } = item;
  if (content.kind === "ram") {
    yield* ramUnits(item, name, options);
  } else if (content.kind === "device") {
    const { state, length } = content;
    const fields = (): DumpField[] => deviceFields(state, offset, length);
    const fieldAt = (at: number): DumpField | undefined => deviceFieldAt(state, offset, length, at);
    yield { part: name, section, unit: "device state", streamOffset: offset, length, fields, fieldAt };
  } else if (content.kind === "opaque") {
    yield undecoded({ item: name, section, offset, length: content.bytes.length, why: content.reason });
  } else {
    let at = offset;
    let index = 0;
    for await (const record of content.entries()) {
      const writer = new TracedWriter(at);
      encodeSectionRecord(writer, record);
      const start = at;
      const length = writer.offset - at;
      at += length;
      const fields = (): DumpField[] => sectionRecordFields(record, start);
      yield { part: name, section, unit: `record ${index++}: ${record.kind}`, streamOffset: start, length, fields };
    }
  }
}

interface Undecoded {
  item: string;
  section?: string | undefined;
  offset: number;
  length: number;
  why: string;
}

/** Bytes that are not decoded, with the reason. */
export function undecoded({ item, section, offset, length, why }: Undecoded): DumpUnit {
  const field = { field: "bytes", streamOffset: offset, length };
  return {
    part: item,
    section,
    unit: `not decoded: ${why}`,
    streamOffset: offset,
    length,
    reason: why,
    fields: () => [field],
  };
}

async function* rest(item: OpaqueItem | TrailingItem): AsyncGenerator<DumpUnit> {
  const why = item.kind === "opaque" ? item.reason : item.what;
  let at = item.offset;
  for await (const chunk of item.chunks(true)) {
    const unit = undecoded({ item: item.kind, offset: at, length: chunk.length, why });
    yield item.kind === "opaque" ? unit : { ...unit, reason: undefined, unit: why };
    at += chunk.length;
  }
  if (item.kind === "trailing" && item.unread > 0)
    yield undecoded({ item: "trailing", offset: at, length: item.unread, why: `${why}, not read` });
}

async function* ramUnits(item: SectionItem, name: string, { from, passed }: UnitOptions): AsyncGenerator<DumpUnit> {
  let at = item.payloadOffset;
  for await (const batch of item.records()) {
    const { mappedBlock } = batch;
    if (mappedBlock !== undefined) {
      const fields = mappedFields(mappedBlock, at);
      const length = fields.at(-1)!.streamOffset + fields.at(-1)!.length - at;
      const what = `RAM block ${JSON.stringify(mappedBlock.block.idstr)}`;
      yield { part: name, section: item.idstr, unit: what, streamOffset: at, length, fields: () => fields };
      at += length;
      continue;
    }
    const last = batch.count - 1;
    if (last < 0) continue;
    const end = batch.position[last]! + recordLength(batch, last);
    if (end > from) for (let i = 0; i <= last; i++) yield recordUnit(item, name, batch, i);
    else passed(end);
    at = end;
  }
}

/** Bytes of a record on the wire. */
function recordLength(batch: RamBatch, i: number): number {
  if (batch.area) return Number(batch.block[i]!.mapped!.pageSize);
  const flag = batch.flag[i]!;
  if (flag === RamFlag.MEM_SIZE) {
    const { streamOffset: offset, length } = recordFields(batch, i, "blocks", 0).at(-1)!;
    return offset + length;
  }
  if ((flag & PAGE_FLAGS) === 0) return 8;
  const name = batch.continues[i] === 1 ? 0 : 1 + batch.block[i]!.idstr.length;
  const before = flag === RamFlag.ZERO ? 1 : flag === RamFlag.COMPRESS_PAGE ? 4 : flag === RamFlag.XBZRLE ? 3 : 0;
  return 8 + name + before + batch.bodyLength[i]!;
}

/** Valid until the next batch is asked for. */
function recordUnit(item: SectionItem, name: string, batch: RamBatch, i: number): DumpUnit {
  const kind = encodingOf(batch.flag[i]!);
  const index = batch.firstRecord + i;
  const block = batch.block[i]?.idstr;
  const offset = batch.position[i]!;
  const page = block === undefined ? undefined : batch.offset[i]!;
  const where = page === undefined ? "" : ` of ${JSON.stringify(block)} at ${hex(page)}`;
  return {
    part: name,
    section: item.idstr,
    unit: `record ${index}: ${kind}${where}`,
    streamOffset: offset,
    length: recordLength(batch, i),
    record: { recordIndex: index, kind, block, blockOffset: page },
    fields: () => recordFields(batch, i, kind, offset),
  };
}
