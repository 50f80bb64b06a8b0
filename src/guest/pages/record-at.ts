import { hex, QevmError, type Diagnostics } from "../../bytes/errors.js";
import type { PageInflater } from "../../engine/page-engine.js";
import { QemuFileReader } from "../../bytes/reader.js";
import { readFully, type ByteSource, type Positioned } from "../../bytes/source.js";
import { compressBound, encodingOf, PAGE_FLAGS, RamFlag } from "../../codec/ram/index.js";
import { decodeXbzrle } from "../../codec/ram/xbzrle.js";
import { inflatedPart, PAGE_BEFORE } from "./apply.js";

/** The bytes of a stream, which can be read anywhere. */
export type StreamBytes = Positioned & Pick<ByteSource, "offset">;

/** Which record is meant to stand at a place. */
export interface RecordPlace {
  /** Absolute stream offset. */
  position: number;
  block: string;
  /** Offset of the page in its block, in bytes. */
  offset: number;
}

/**
 * Applies the one page record that stands at a place to `page`, which holds what the page was before. The record must be of this page,
 * so that a wrong place is never taken for right. Errors: bad-value (another record stands there), truncated, bad-compressed-data, bad-xbzrle.
 * Lenient `diagnostics`: what is damaged is replaced as `RecordApplier` does it.
 */
export async function applyRecordAt(
  source: StreamBytes,
  place: RecordPlace,
  page: Uint8Array,
  inflater: PageInflater,
  diagnostics?: Diagnostics,
): Promise<void> {
  const longest = 8 + 256 + 4 + compressBound(page.length);
  const reader = await readerAt(source, place.position, longest);
  reader.path.push(`page of ${JSON.stringify(place.block)} at ${hex(place.offset)}`);
  const flag = checkHeader(reader, place, page.length);
  if (flag === RamFlag.ZERO) {
    page.fill(reader.u8());
    return;
  }
  let length = page.length;
  if (flag === RamFlag.COMPRESS_PAGE) {
    length = reader.u32();
  } else if (flag === RamFlag.XBZRLE) {
    reader.skip(1);
    length = reader.u16();
  }
  const body = reader.view(length, "page data");
  try {
    if (flag === RamFlag.PAGE) page.set(body);
    else if (flag === RamFlag.COMPRESS_PAGE) inflater.inflate(body, page);
    else decodeXbzrle(page, body);
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    const { expected, found } = error;
    const located = reader.error(error.code, error.what, { offset: place.position, expected, found, cause: error });
    if (diagnostics === undefined) throw located;
    const { block, offset: at } = place;
    const inflated = flag === RamFlag.COMPRESS_PAGE;
    diagnostics.anomaly(located, { block, page: at, by: inflated ? inflatedPart(inflater.produced) : PAGE_BEFORE });
    if (inflated) page.fill(0, inflater.produced);
  }
}

/** The record's flag, without CONTINUE. */
function checkHeader(reader: QemuFileReader, { position, block, offset }: RecordPlace, pageSize: number): number {
  const word = reader.u64();
  const low = Number(word & BigInt(pageSize - 1));
  const flag = low & ~RamFlag.CONTINUE;
  const single = (flag & PAGE_FLAGS) === flag && flag !== 0 && (flag & (flag - 1)) === 0;
  const named = single && (low & RamFlag.CONTINUE) === 0 ? reader.string8("RAM block name") : block;
  if (!single || Number(word) - low !== offset || named !== block) {
    const found = single ? `${encodingOf(flag)} at ${hex(Number(word) - low)} of ${JSON.stringify(named)}` : hex(low);
    throw reader.error("bad-value", "no record of this page", { offset: position, found });
  }
  return flag;
}

/** A reader over up to `length` bytes from an absolute offset of the stream. */
async function readerAt(source: StreamBytes, position: number, length: number): Promise<QemuFileReader> {
  const bytes = new Uint8Array(length);
  const filled = await readFully(source, position - (source.offset ?? 0), bytes);
  return QemuFileReader.over(bytes.subarray(0, filled), position);
}
