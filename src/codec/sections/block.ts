import { hex } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import type { RecordPlace, SectionCodec } from "./codec.js";

/**
 * Section "block", version 1: disk contents (`migrate -b`, capability `block`; until 9.0).
 *
 * A record is a be64 whose low 9 bits are flags:
 *
 * | flags | kind     | upper bits                  | body                          |
 * |-------|----------|-----------------------------|-------------------------------|
 * | 0x01  | data     | byte offset in the disk     | str8 device, 1,048,576 bytes  |
 * | 0x09  | zero     | byte offset in the disk     | str8 device (1.6)             |
 * | 0x04  | progress | percent                     | none                          |
 * | 0x02  | end      | 0                           | none; ends the chunk          |
 *
 * A data record is always a whole MiB, even past the end of the disk. Every record has the device name.
 *
 * Source: QEMU migration/block.c block_load (5.2, 7.2).
 */
export type BlockRecord = RecordPlace & { section: "block" } & (
    | { kind: "data"; device: string; position: number; data: Uint8Array }
    | { kind: "zero"; device: string; position: number }
    | { kind: "progress"; percent: number }
    | { kind: "end" }
  );

/** Data bytes in a data record. */
export const BLOCK_CHUNK = 1 << 20;

const Flag = { DEVICE_BLOCK: 0x01, EOS: 0x02, PROGRESS: 0x04, ZERO_BLOCK: 0x08 } as const;
const SECTOR = 512;

async function decode(reader: QemuFileReader): Promise<BlockRecord> {
  await reader.need(9, "block record");
  const { offset } = reader;
  const value = reader.length64("offset of a disk's data");
  const flags = value % SECTOR;
  const upper = value - flags;
  switch (flags) {
    case Flag.EOS:
      if (upper !== 0) {
        throw reader.error("bad-value", "end of a chunk of disk data", { offset, expected: "0x2", found: hex(value) });
      }
      return { section: "block", offset, kind: "end" };
    case Flag.PROGRESS:
      return { section: "block", offset, kind: "progress", percent: upper / SECTOR };
    case Flag.DEVICE_BLOCK | Flag.ZERO_BLOCK:
      return { section: "block", offset, kind: "zero", position: upper, device: await device(reader) };
    case Flag.DEVICE_BLOCK: {
      const name = await device(reader);
      await reader.need(BLOCK_CHUNK, "disk data");
      return { section: "block", offset, kind: "data", position: upper, device: name, data: reader.view(BLOCK_CHUNK) };
    }
    default:
      throw reader.error("unknown-type", "unknown combination of block flags", { offset, found: hex(flags) });
  }
}

async function device(reader: QemuFileReader): Promise<string> {
  await reader.need(1, "device name");
  await reader.need(1 + reader.peek(), "device name");
  return reader.string8("device name");
}

/**
 * Writes one record of a "block" section: positions in bytes, multiples of 512; progress in percent. Errors:
 * does-not-fit (a name of more than 255 bytes, a position above 2^53 - 1).
 */
export function encodeBlockRecord(writer: QemuFileWriter, record: BlockRecord): void {
  switch (record.kind) {
    case "data":
      writer.length64(record.position + Flag.DEVICE_BLOCK);
      writer.string8(record.device, "device name");
      writer.bytes(record.data);
      break;
    case "zero":
      writer.length64(record.position + (Flag.DEVICE_BLOCK | Flag.ZERO_BLOCK));
      writer.string8(record.device, "device name");
      break;
    case "progress":
      writer.length64(record.percent * SECTOR + Flag.PROGRESS);
      break;
    case "end":
      writer.length64(Flag.EOS);
      break;
  }
}

export const blockCodec: SectionCodec<BlockRecord> = { decode, ends: ({ kind }) => kind === "end" };
