import { hex } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/reader.js";
import { readFully, type ByteSource, type Positioned } from "../../bytes/source.js";
import { compressBound, PAGE_ENCODINGS, RamFlag, type PageEncoding } from "../../codec/ram/index.js";
import { pageStep, type PageDecoder } from "./page-decoder.js";

/** The bytes of a stream, which can be read anywhere. */
export type StreamBytes = Positioned & Pick<ByteSource, "offset">;

/** Which record is meant to be at a place. */
export interface RecordPlace {
  /** Absolute stream offset. */
  position: number;
  block: string;
  /** Offset of the page in its block, in bytes. */
  offset: number;
}

/**
 * Applies the one page record at a place to `page`, which holds what the page was before. The record must be of this
 * page, so that a wrong place is never taken for right. What is damaged is refused or replaced as the decoder does it.
 * Errors: bad-value (another record is there), truncated, bad-compressed-data, bad-xbzrle.
 */
export async function applyRecordAt(
  source: StreamBytes,
  place: RecordPlace,
  page: Uint8Array,
  decoder: PageDecoder,
): Promise<void> {
  const longest = 8 + 256 + 4 + compressBound(page.length);
  const reader = await readerAt(source, place.position, longest);
  reader.path.push(pageStep(place.block, place.offset));
  const encoding = checkHeader(reader, place, page.length);
  const body = encoding.body(reader, page.length);
  try {
    decoder.decode(page, encoding, body);
  } catch (error) {
    decoder.damaged(error, page, encoding, { ...place, path: reader.path });
  }
}

/** The record's encoding. */
function checkHeader(reader: QemuFileReader, { position, block, offset }: RecordPlace, pageSize: number): PageEncoding {
  const word = reader.u64();
  const low = Number(word & BigInt(pageSize - 1));
  const flag = low & ~RamFlag.CONTINUE;
  const encoding = PAGE_ENCODINGS.get(flag);
  const named = encoding !== undefined && low === flag ? reader.string8("RAM block name") : block;
  if (encoding === undefined || Number(word) - low !== offset || named !== block) {
    const at = `at ${hex(Number(word) - low)} of ${JSON.stringify(named)}`;
    const found = encoding === undefined ? hex(low) : `${encoding.name} ${at}`;
    throw reader.error("bad-value", "no record of this page", { offset: position, found });
  }
  return encoding;
}

/** A reader over up to `length` bytes from an absolute offset of the stream. */
async function readerAt(source: StreamBytes, position: number, length: number): Promise<QemuFileReader> {
  const bytes = new Uint8Array(length);
  const filled = await readFully(source, position - (source.offset ?? 0), bytes);
  return QemuFileReader.over(bytes.subarray(0, filled), position);
}
