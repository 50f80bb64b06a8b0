import { hex } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import type { RecordPlace, SectionCodec } from "./codec.js";

/**
 * Section "dirty-bitmap", version 1: disk areas that changed since a backup (capability `dirty-bitmaps`, 2.12).
 *
 * A record: u8 flags, [str8 node if 0x08], [str8 bitmap if 0x04], a body. A missing name is that of the previous
 * record, across chunks. With a name mapping (5.2) the names are aliases.
 *
 * | flag | kind     | body                                                                             |
 * |------|----------|----------------------------------------------------------------------------------|
 * | 0x10 | start    | be32 granularity, u8: 1 enabled, 2 persistent, 4 autoload (until 2.12)              |
 * | 0x20 | complete | none                                                                             |
 * | 0x40 | bits     | be64 first sector, be32 sectors; unless 0x02 (zeros) be64 length and so many bytes |
 * | 0x01 |          | ends the chunk; alone (kind "end") or with another                               |
 *
 * The bits are little-endian 64-bit words, one bit per granule.
 *
 * Source: QEMU migration/block-dirty-bitmap.c (5.2 to 11.1).
 */
export type BitmapRecord = RecordPlace & {
  section: "dirty-bitmap";
  /** Node or device; undefined: same as the previous record. */
  node: string | undefined;
  /** Bitmap; undefined: same as the previous record. */
  bitmap: string | undefined;
  /** This record ends the chunk. */
  last: boolean;
} & (
    | { kind: "start"; granularity: number; enabled: boolean; persistent: boolean; autoload: boolean }
    | { kind: "complete" }
    /** `bits` undefined: all bits are zero. */
    | { kind: "bits"; sector: bigint; sectors: number; bits: Uint8Array | undefined }
    | { kind: "end" }
  );

/** Maximum bitmap bytes in one record that QEMU's loader accepts. */
const MAX_BITS = 10 * 1024;

const Flag = { EOS: 0x01, ZEROES: 0x02, BITMAP: 0x04, NODE: 0x08, START: 0x10, COMPLETE: 0x20, BITS: 0x40 } as const;
const StartFlag = { ENABLED: 1, PERSISTENT: 2, AUTOLOAD: 4 } as const;

async function decode(reader: QemuFileReader): Promise<BitmapRecord> {
  await reader.need(1, "dirty bitmap record");
  const { offset } = reader;
  const flags = reader.u8();
  const what = flags & ~(Flag.EOS | Flag.NODE | Flag.BITMAP);
  const node = (flags & Flag.NODE) === 0 ? undefined : await name(reader, "node name");
  const bitmap = (flags & Flag.BITMAP) === 0 ? undefined : await name(reader, "bitmap name");
  const head = { section: "dirty-bitmap", offset, node, bitmap, last: (flags & Flag.EOS) !== 0 } as const;
  switch (what) {
    case Flag.START:
      return { ...head, kind: "start", ...(await started(reader)) };
    case Flag.COMPLETE:
      return { ...head, kind: "complete" };
    case Flag.BITS:
    case Flag.BITS | Flag.ZEROES:
      return { ...head, kind: "bits", ...(await bits(reader, what !== Flag.BITS)) };
    case 0:
      return { ...head, kind: "end" };
    default:
      throw reader.error("unknown-type", "unknown combination of dirty bitmap flags", { offset, found: hex(flags) });
  }
}

async function name(reader: QemuFileReader, what: string): Promise<string> {
  await reader.need(1, what);
  await reader.need(1 + reader.peek(), what);
  return reader.string8(what);
}

async function started(
  reader: QemuFileReader,
): Promise<{ granularity: number; enabled: boolean; persistent: boolean; autoload: boolean }> {
  await reader.need(5, "start of a dirty bitmap");
  const granularity = reader.u32();
  const { offset } = reader;
  const flags = reader.u8();
  if (flags > 7) {
    throw reader.error("bad-value", "flags of a dirty bitmap", { offset, expected: "0 to 7", found: hex(flags) });
  }
  return {
    granularity,
    enabled: (flags & StartFlag.ENABLED) !== 0,
    persistent: (flags & StartFlag.PERSISTENT) !== 0,
    autoload: (flags & StartFlag.AUTOLOAD) !== 0,
  };
}

async function bits(
  reader: QemuFileReader,
  zeros: boolean,
): Promise<{ sector: bigint; sectors: number; bits: Uint8Array | undefined }> {
  await reader.need(zeros ? 12 : 20, "dirty bits");
  const sector = reader.u64();
  const sectors = reader.u32();
  if (zeros) return { sector, sectors, bits: undefined };
  const { offset } = reader;
  const length = reader.u64();
  if (length > BigInt(MAX_BITS)) {
    const where = { offset, expected: `at most ${MAX_BITS} bytes`, found: String(length) };
    throw reader.error("bad-length", "dirty bits", where);
  }
  await reader.need(Number(length), "dirty bits");
  return { sector, sectors, bits: reader.view(Number(length)) };
}

/**
 * Writes one record of a "dirty-bitmap" section: sectors of 512 bytes, granularity in bytes. Errors: does-not-fit (a
 * name of more than 255 bytes).
 */
export function encodeBitmapRecord(writer: QemuFileWriter, record: BitmapRecord): void {
  const { node, bitmap } = record;
  let flags = record.last ? Flag.EOS : 0;
  if (node !== undefined) flags |= Flag.NODE;
  if (bitmap !== undefined) flags |= Flag.BITMAP;
  switch (record.kind) {
    case "start":
      flags |= Flag.START;
      break;
    case "complete":
      flags |= Flag.COMPLETE;
      break;
    case "bits":
      flags |= record.bits === undefined ? Flag.BITS | Flag.ZEROES : Flag.BITS;
      break;
    case "end":
      break;
  }
  writer.u8(flags);
  if (node !== undefined) writer.string8(node, "node name");
  if (bitmap !== undefined) writer.string8(bitmap, "bitmap name");
  if (record.kind === "start") {
    writer.u32(record.granularity);
    const { enabled, persistent, autoload } = record;
    writer.u8((enabled ? 1 : 0) | (persistent ? 2 : 0) | (autoload ? 4 : 0));
  } else if (record.kind === "bits") {
    writer.u64(record.sector);
    writer.u32(record.sectors);
    if (record.bits === undefined) return;
    writer.length64(record.bits.length);
    writer.bytes(record.bits);
  }
}

export const bitmapCodec: SectionCodec<BitmapRecord> = { decode, ends: ({ last }) => last };
