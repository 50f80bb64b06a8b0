import { writeLeb128 } from "../../../bytes/leb128.js";
import type { QemuFileReader } from "../../../bytes/reader.js";
import { littleU32 } from "../little.js";
import { crc32 } from "./checksums.js";
import { XzBlocks, type BlockSizes } from "./xz-block.js";
import { CHECKS } from "./xz-check.js";

/** Bytes of a stream's header, and of its footer. */
export const ENDS = 12;
/** Where a header has the kind of check. */
export const CHECK_AT = 7;
const HEADER_MAGIC: readonly number[] = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const FOOTER_MAGIC: readonly number[] = [0x59, 0x5a];

/**
 * xz (.xz file format 1.2.1): one or more streams with padding, blocks of LZMA2, before it perhaps x86 and delta
 * filters, every check. LZMA2 is decoded in WebAssembly. What follows the last stream is ignored. Memory: the
 * dictionary (8 MiB for `xz -6`), at most `window` bytes. Errors: truncated, limit, bad-compressed-data, bad-length,
 * unsupported.
 */
export async function* unxz(
  reader: QemuFileReader,
  { window }: { window?: number | undefined } = {},
): AsyncGenerator<Uint8Array> {
  const blocks = await XzBlocks.create(window);
  do {
    const check = await streamHeader(reader);
    const records = new Records();
    for (;;) {
      await reader.need(1, "an xz block header");
      if (reader.peek() === 0) break;
      records.add(yield* blocks.read(reader, check));
    }
    await readIndex(reader, records);
    await streamFooter(reader, check, records.indexBytes);
  } while (await hasMore(reader));
}

/** Returns the kind of check. */
async function streamHeader(reader: QemuFileReader): Promise<number> {
  const start = reader.offset;
  await reader.need(ENDS, "an xz stream header");
  const bytes = reader.view(ENDS);
  const wrong = wrongInHeader(bytes);
  if (wrong === "magic") throw reader.error("bad-magic", "no xz stream");
  if (wrong === "checksum") {
    throw reader.error("bad-compressed-data", "xz: checksum of the stream header", { offset: start });
  }
  const check = bytes[CHECK_AT]!;
  if (wrong === "flags") {
    throw reader.error("unsupported", "xz: kind of check", { offset: start + 6, found: `0x${check.toString(16)}` });
  }
  return check;
}

/** The first thing that is not as in a stream's header whose kind of check, at {@link CHECK_AT}, exists. */
export function wrongInHeader(bytes: Uint8Array): "magic" | "checksum" | "flags" | undefined {
  if (!HEADER_MAGIC.every((byte, k) => byte === bytes[k])) return "magic";
  if (littleU32(bytes, 8) !== crc32(bytes.subarray(6, 8))) return "checksum";
  return bytes[6] === 0 && CHECKS.includes(bytes[CHECK_AT]!) ? undefined : "flags";
}

/** What the index of a stream has to list. */
class Records {
  count = 0;
  /** Bytes in the index. */
  bytes = 0;
  /** CRC-32 of these bytes. */
  sum = 0;

  add({ length, plain }: BlockSizes): void {
    const record = numbers(length, plain);
    this.count++;
    this.bytes += record.length;
    this.sum = crc32(record, this.sum);
  }

  /** The index up to the first record. */
  get head(): Uint8Array {
    return Uint8Array.of(0, ...numbers(this.count));
  }

  /** Of the index with padding and checksum. */
  get indexBytes(): number {
    return Math.ceil((this.head.length + this.bytes) / 4) * 4 + 4;
  }
}

function numbers(...values: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(16);
  return bytes.subarray(
    0,
    values.reduce((at, value) => writeLeb128(value, bytes, at), 0),
  );
}

/** Reads the index, which has to list the blocks that were there. */
async function readIndex(reader: QemuFileReader, records: Records): Promise<void> {
  const start = reader.offset;
  const { head, indexBytes } = records;
  const bad = (): Error => reader.error("bad-compressed-data", "xz: index", { offset: start });
  await reader.need(head.length, "an xz index");
  const first = reader.view(head.length);
  if (!head.every((byte, k) => byte === first[k])) throw bad();
  let whole = crc32(head);
  let sum = 0;
  for (let left = records.bytes; left > 0;) {
    await reader.need(1, "an xz index");
    const bytes = reader.view(Math.min(left, reader.available));
    whole = crc32(bytes, whole);
    sum = crc32(bytes, sum);
    left -= bytes.length;
  }
  const padding = indexBytes - 4 - head.length - records.bytes;
  await reader.need(padding + 4, "an xz index");
  const end = reader.view(padding + 4);
  whole = crc32(end.subarray(0, padding), whole);
  const padded = end.subarray(0, padding).every((byte) => byte === 0);
  if (sum !== records.sum || !padded || littleU32(end, padding) !== whole) throw bad();
}

async function streamFooter(reader: QemuFileReader, check: number, indexBytes: number): Promise<void> {
  const start = reader.offset;
  await reader.need(ENDS, "an xz stream footer");
  const found = readFooter(reader.view(ENDS));
  if (found?.indexBytes !== indexBytes || found.check !== check) {
    throw reader.error("bad-compressed-data", "xz stream footer", { offset: start });
  }
}

/** The kind of check and the bytes of the index that a footer says; undefined where it is none. */
export function readFooter(bytes: Uint8Array): { check: number; indexBytes: number } | undefined {
  const is =
    bytes[8] === 0 &&
    FOOTER_MAGIC.every((byte, k) => byte === bytes[10 + k]) &&
    littleU32(bytes, 0) === crc32(bytes.subarray(4, 10));
  return is ? { check: bytes[9]!, indexBytes: (littleU32(bytes, 4) + 1) * 4 } : undefined;
}

/** Passes over padding. Whether another stream begins here, perhaps cut off in its magic. */
async function hasMore(reader: QemuFileReader): Promise<boolean> {
  const start = reader.offset;
  while (await reader.fill(1)) {
    const rest = reader.buffer.subarray(reader.position, reader.end);
    const zeros = rest.findIndex((byte) => byte !== 0);
    reader.skip(zeros < 0 ? rest.length : zeros);
    if (zeros >= 0) break;
  }
  await reader.fill(HEADER_MAGIC.length);
  const next = reader.buffer.subarray(reader.position, Math.min(reader.end, reader.position + HEADER_MAGIC.length));
  if (next.length === 0 || !next.every((byte, k) => byte === HEADER_MAGIC[k])) return false;
  if ((reader.offset - start) % 4 === 0) return true;
  throw reader.error("bad-compressed-data", "xz: padding is not a multiple of four bytes", { offset: start });
}
