import { hex, QevmError, type Diagnostics } from "../../bytes/errors.js";
import { latin1, type QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";
import type { RamBatch } from "./batch.js";
import { encodeArea, encodeMappedBlock } from "./mapped-area.js";
import { encodeBlockList } from "./block-list.js";
import { compressBound, PAGE_FLAGS, RamFlag } from "./flags.js";
import type { RamBlock, RamState } from "./state.js";

/**
 * RAM records: `be64 offset|flags`, a block name where CONTINUE is not set, a body (see flags.ts for each).
 *
 * The loop is the hot path of every reader: it runs over the bytes at hand without waiting and without allocating.
 *
 * Source: QEMU migration/ram.c ram_load_precopy, save_page_header (5.2 to 10.1).
 */
export type DecodeStatus =
  /** The next record needs `need` bytes in the buffer. */
  | { kind: "short"; need: number; what: string }
  /** The batch is full. */
  | { kind: "full" }
  /** EOS was the last record. */
  | { kind: "eos" }
  /** A MEM_SIZE record comes next: read it by `decodeBlockList`. */
  | { kind: "blocks" };

const FULL: DecodeStatus = { kind: "full" };
const EOS: DecodeStatus = { kind: "eos" };
const BLOCKS: DecodeStatus = { kind: "blocks" };

/** Decodes as many records as the buffer holds into `batch`, which must be empty. */
export function decodeRecords(
  reader: QemuFileReader,
  ram: RamState,
  batch: RamBatch,
  diagnostics: Diagnostics,
): DecodeStatus {
  const { buffer, end } = reader;
  const { pageSize } = ram;
  const { capacity } = batch;
  const mask = pageSize - 1;
  const base = reader.offset - reader.position;
  let at = reader.position;
  let i = batch.count;
  let status = FULL;
  for (; i < capacity; i++) {
    if (end - at < 8) {
      status = { kind: "short", need: 8, what: "RAM record" };
      break;
    }
    const high = ((buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!) >>> 0;
    const low = ((buffer[at + 4]! << 24) | (buffer[at + 5]! << 16) | (buffer[at + 6]! << 8) | buffer[at + 7]!) >>> 0;
    const flag = low & mask & ~RamFlag.CONTINUE;
    const offset = high * 0x100000000 + (low - (low & mask));
    let body = at + 8;
    batch.flag[i] = flag;
    batch.continues[i] = (low & RamFlag.CONTINUE) === 0 ? 0 : 1;
    batch.offset[i] = offset;
    batch.position[i] = base + at;
    batch.bodyLength[i] = 0;
    if ((flag & PAGE_FLAGS) === 0 || (flag & (flag - 1)) !== 0) {
      batch.block[i] = undefined;
      if (flag === RamFlag.MEM_SIZE && batch.continues[i] === 0) {
        status = BLOCKS;
        break;
      }
      if (flag !== RamFlag.EOS && flag !== RamFlag.HOOK && flag !== RamFlag.MULTIFD_FLUSH) {
        throw unknownFlags(reader, batch, i, low & mask);
      }
      if (high > 0x1fffff) throw tooLarge(reader, batch, i);
      at = body;
      if (flag === RamFlag.EOS) {
        i++;
        status = EOS;
        break;
      }
      continue;
    }
    let block: RamBlock | undefined = ram.current;
    if ((low & RamFlag.CONTINUE) === 0) {
      const n = body < end ? buffer[body]! : 0;
      if (end - body < 1 + n) {
        status = { kind: "short", need: body - at + 1 + n, what: "RAM block name" };
        break;
      }
      block = namedBlock(reader, ram, batch, i, latin1(buffer.subarray(body + 1, body + 1 + n)), diagnostics);
      body += 1 + n;
    } else if (block === undefined) {
      throw recordError(reader, batch, i, "unknown-reference", "CONTINUE before any RAM block was named");
    }
    batch.block[i] = block;
    let length = pageSize;
    if (flag === RamFlag.ZERO) {
      length = 1;
    } else if (flag === RamFlag.COMPRESS_PAGE) {
      if (end - body < 4) {
        status = { kind: "short", need: body - at + 4, what: "COMPRESS_PAGE length" };
        break;
      }
      length = ((buffer[body]! << 24) | (buffer[body + 1]! << 16) | (buffer[body + 2]! << 8) | buffer[body + 3]!) >>> 0;
      if (length > compressBound(pageSize)) {
        throw recordError(
          reader,
          batch,
          i,
          "bad-length",
          "COMPRESS_PAGE payload",
          `at most ${compressBound(pageSize)} bytes`,
          `${length}`,
        );
      }
      body += 4;
    } else if (flag === RamFlag.XBZRLE) {
      if (end - body < 3) {
        status = { kind: "short", need: body - at + 3, what: "XBZRLE header" };
        break;
      }
      length = (buffer[body + 1]! << 8) | buffer[body + 2]!;
      checkXbzrle(reader, batch, i, buffer[body]!, length, pageSize);
      body += 3;
    }
    if (end - body < length) {
      status = { kind: "short", need: body - at + length, what: "page data" };
      break;
    }
    // Only for a complete record: an incomplete one is read again from here.
    if (offset >= block.usedLength && !ram.grow(block, offset + pageSize)) outside(reader, batch, i, diagnostics);
    ram.current = block;
    if (flag === RamFlag.ZERO) {
      batch.fill[i] = buffer[body]!;
    } else {
      batch.bodyStart[i] = body;
      batch.bodyLength[i] = length;
    }
    at = body + length;
  }
  batch.count = i;
  reader.position = at;
  return status;
}

/** Writes the records of a batch exactly as their fields say. @param from,to only records [from, to) of it */
export function encodeRecords(writer: QemuFileWriter, batch: RamBatch, from = 0, to = batch.count): void {
  if (batch.mappedBlock !== undefined) encodeMappedBlock(writer, batch.mappedBlock);
  else if (batch.area) encodeArea(writer, batch, from, to);
  else for (let i = from; i < to; i++) encodeRecord(writer, batch, i);
}

/** Writes one record of a batch exactly as its fields say. */
export function encodeRecord(writer: QemuFileWriter, batch: RamBatch, i: number): void {
  const flag = batch.flag[i]!;
  if (flag === RamFlag.MEM_SIZE) {
    encodeBlockList(writer, batch.blockList!);
    return;
  }
  encodeRecordHeader(writer, flag, batch.offset[i]!, batch.block[i]?.idstr, batch.continues[i] === 1);
  if (flag === RamFlag.ZERO) writer.u8(batch.fill[i]!);
  else if ((flag & PAGE_FLAGS) !== 0) encodePageBody(writer, flag, batch.body(i));
}

/** `be64 offset|flags`, and the block name unless `continues`. */
export function encodeRecordHeader(
  writer: QemuFileWriter,
  flag: number,
  offset: number,
  idstr: string | undefined,
  continues: boolean,
): void {
  writer.length64(offset + (continues ? flag | RamFlag.CONTINUE : flag));
  if (!continues && (flag & PAGE_FLAGS) !== 0) writer.string8(idstr ?? "", "RAM block name");
}

/** The body of PAGE, COMPRESS_PAGE or XBZRLE. */
export function encodePageBody(writer: QemuFileWriter, flag: number, body: Uint8Array): void {
  if (flag === RamFlag.COMPRESS_PAGE) {
    writer.u32(body.length);
  } else if (flag === RamFlag.XBZRLE) {
    writer.u8(XBZRLE_MARK);
    writer.u16(body.length);
  }
  writer.bytes(body);
}

/** The only value of the byte before an XBZRLE length. */
const XBZRLE_MARK = 1;

function namedBlock(
  reader: QemuFileReader,
  ram: RamState,
  batch: RamBatch,
  i: number,
  idstr: string,
  diagnostics: Diagnostics,
): RamBlock {
  const known = ram.find(idstr);
  if (known !== undefined) return known;
  diagnostics.anomaly(
    recordError(
      reader,
      batch,
      i,
      "unknown-reference",
      "a page of a RAM block that the block list does not name",
      undefined,
      JSON.stringify(idstr),
    ),
    { block: idstr, blockOffset: batch.offset[i]!, by: "a block of that name, as long as its pages reach" },
  );
  if (ram.blocks.length >= ram.maxBlocks) {
    throw recordError(reader, batch, i, "limit", `more than ${ram.maxBlocks} RAM blocks`);
  }
  return ram.addUnlisted(idstr);
}

function outside(reader: QemuFileReader, batch: RamBatch, i: number, diagnostics: Diagnostics): void {
  const offset = batch.offset[i]!;
  if (!Number.isSafeInteger(offset)) throw tooLarge(reader, batch, i);
  const block = batch.block[i]!;
  diagnostics.anomaly(
    recordError(
      reader,
      batch,
      i,
      "bad-offset",
      `a page outside RAM block "${block.idstr}"`,
      `an offset below ${hex(block.usedLength)}`,
      hex(offset),
    ),
    { block: block.idstr, blockOffset: offset, by: "nothing: the block has no memory there" },
  );
}

function checkXbzrle(
  reader: QemuFileReader,
  batch: RamBatch,
  i: number,
  mark: number,
  length: number,
  pageSize: number,
): void {
  if (mark !== XBZRLE_MARK) {
    throw recordError(reader, batch, i, "bad-value", "XBZRLE encoding byte", `${XBZRLE_MARK}`, `${mark}`);
  }
  if (length > pageSize) {
    throw recordError(reader, batch, i, "bad-length", "XBZRLE payload", `at most ${pageSize} bytes`, `${length}`);
  }
}

function tooLarge(reader: QemuFileReader, batch: RamBatch, i: number): QevmError {
  return recordError(reader, batch, i, "limit", "an offset of 2^53 or more");
}

function unknownFlags(reader: QemuFileReader, batch: RamBatch, i: number, flags: number): QevmError {
  return recordError(reader, batch, i, "unknown-type", "unknown combination of RAM flags", undefined, hex(flags));
}

function recordError(
  reader: QemuFileReader,
  batch: RamBatch,
  i: number,
  code: QevmError["code"],
  what: string,
  expected?: string,
  found?: string,
): QevmError {
  return new QevmError(code, what, {
    offset: batch.position[i]!,
    path: [...reader.path, `record ${batch.firstRecord + i}`],
    expected,
    found,
  });
}
