import { hex } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import type { ChunkPlace, RecordPlace, SectionCodec } from "./codec.js";

/**
 * Sections "PATH/vfio", version 1: the state of a VFIO device.
 *
 * A record is a be64 tag, 0xffffffffef100000 plus a number:
 *
 * | number | kind       | body                        | ends the chunk |
 * |--------|------------|-----------------------------|----------------|
 * | 1      | end        | none                        | yes            |
 * | 3      | setup      | none                        |                |
 * | 4      | data       | be64 length, so many bytes  |                |
 * | 5      | init-sent  | none (8.1)                  | yes            |
 * | 6      | load-ready | none (10.1)                 | yes            |
 *
 * The data is private to the device. Number 2, the configuration of the PCI function, has no length and is not decoded.
 * It occurs in FULL sections, whose size the VMDESCRIPTION gives, and in END until 6.0.
 *
 * Source: QEMU hw/vfio/migration.c vfio_load_state (7.2 to 11.1).
 */
export type VfioRecord = RecordPlace & { section: "vfio" } & (
    { kind: "data"; data: Uint8Array } | { kind: "end" | "setup" | "init-sent" | "load-ready" }
  );

const TAG = 0xffff_ffff_ef10_0000n;
const DATA = 4n;
const KINDS = new Map<bigint, VfioRecord["kind"]>([
  [1n, "end"],
  [3n, "setup"],
  [DATA, "data"],
  [5n, "init-sent"],
  [6n, "load-ready"],
]);
const NUMBERS = { end: 1n, setup: 3n, data: DATA, "init-sent": 5n, "load-ready": 6n } as const;

async function decode(reader: QemuFileReader, place: ChunkPlace): Promise<VfioRecord> {
  const { offset } = reader;
  await reader.need(8, "VFIO tag");
  const tag = reader.u64();
  const kind = KINDS.get(tag - TAG);
  if (kind === undefined) {
    if (tag === TAG + 2n) throw reader.error("unsupported", "VFIO: configuration of the PCI function", { offset });
    throw reader.error("unknown-type", "VFIO tag", { offset, expected: `${hex(TAG + 1n)} to 6`, found: hex(tag) });
  }
  if (kind !== "data") return { section: "vfio", offset, kind };
  await reader.need(8, "length of VFIO data");
  const at = reader.offset;
  const length = reader.u64();
  if (length > BigInt(place.maxBytes)) {
    const where = { offset: at, expected: `at most ${place.maxBytes} bytes`, found: String(length) };
    throw reader.error("limit", "VFIO data", where);
  }
  await reader.needLarge(Number(length), "VFIO data");
  return { section: "vfio", offset, kind, data: reader.view(Number(length)) };
}

/** Writes one record of a "vfio" section: the tag, and for data the length in bytes and the data. Accepts any data. */
export function encodeVfioRecord(writer: QemuFileWriter, record: VfioRecord): void {
  writer.u64(TAG + NUMBERS[record.kind]);
  if (record.kind !== "data") return;
  writer.length64(record.data.length);
  writer.bytes(record.data);
}

export const vfioCodec: SectionCodec<VfioRecord> = {
  decode,
  ends: ({ kind }) => kind === "end" || kind === "init-sent" || kind === "load-ready",
};
