import { encodingOf } from "./encodings.js";
import type { RamEncoding } from "./flags.js";
import type { BlockList } from "./block-list.js";
import type { MappedBlock, RamBlock } from "./state.js";

/** Records that a batch holds at most. */
export const BATCH_RECORDS = 4096;

/**
 * Records of one buffer's worth, as columns: one record costs no allocation. A batch and everything it shows (bodies,
 * the record object of the iterator) is valid until the next batch is asked for.
 * @example
 * for await (const item of await openStream(bytes)) {
 *   if (item.kind !== "section") continue;
 *   // By columns, without an object a record; `for (const record of batch)` is the same by records.
 *   for await (const batch of item.records()) for (let i = 0; i < batch.count; i++) console.log(batch.offset[i]);
 * }
 */
export class RamBatch implements Iterable<RamRecord> {
  count = 0;
  /** Bytes that the bodies point into. */
  buffer: Uint8Array = new Uint8Array(0);
  /** The flag of each record, without CONTINUE. */
  readonly flag: Uint16Array;
  /** 1 where CONTINUE was set. */
  readonly continues: Uint8Array;
  /** The block of each page record; undefined for other records. */
  readonly block: (RamBlock | undefined)[];
  /** The offset of the page in its block in bytes; for MEM_SIZE the total; otherwise the upper bits as they were. */
  readonly offset: Float64Array;
  /** ZERO: the fill byte. */
  readonly fill: Uint8Array;
  /** Where the body is in `buffer`: page, compressed payload, XBZRLE payload. */
  readonly bodyStart: Uint32Array;
  readonly bodyLength: Uint32Array;
  /** Absolute stream offset of each record. */
  readonly position: Float64Array;
  /** MEM_SIZE is alone in its batch; this is its list. */
  blockList: BlockList | undefined;
  /** Absolute stream offset of each entry of `blockList`: of its name's length byte. */
  entryOffsets: readonly number[] = [];
  /** mapped-ram: a block's list entry, header and bitmap are alone in their batch, which has no records. */
  mappedBlock: MappedBlock | undefined;
  /** mapped-ram: the records are pages as they are in the page area, without headers. */
  area = false;
  /** mapped-ram: bytes of pages without a bit that were skipped (`skipUnsetPages`); such a batch has no records. */
  skippedBytes = 0;
  /** Number of the batch's first record in its section, from 0. */
  firstRecord = 0;

  /** @param capacity records that it holds at most; a short input needs fewer */
  constructor(readonly capacity = BATCH_RECORDS) {
    this.flag = new Uint16Array(capacity);
    this.continues = new Uint8Array(capacity);
    this.block = Array.from({ length: capacity });
    this.offset = new Float64Array(capacity);
    this.fill = new Uint8Array(capacity);
    this.bodyStart = new Uint32Array(capacity);
    this.bodyLength = new Uint32Array(capacity);
    this.position = new Float64Array(capacity);
  }

  /** Empties the batch for a new section. */
  begin(): void {
    this.count = 0;
    this.firstRecord = 0;
  }

  reset(buffer: Uint8Array): void {
    this.firstRecord += this.count;
    this.count = 0;
    this.buffer = buffer;
    this.blockList = undefined;
    this.mappedBlock = undefined;
    this.area = false;
    this.skippedBytes = 0;
  }

  /** Whether any record has this flag (without CONTINUE). */
  has(flag: number): boolean {
    const first = this.flag.indexOf(flag);
    return first >= 0 && first < this.count;
  }

  body(i: number): Uint8Array {
    const start = this.bodyStart[i]!;
    return this.buffer.subarray(start, start + this.bodyLength[i]!);
  }

  /** Yields one record object that is reused; copy what you need of it before the next step. */
  *[Symbol.iterator](): Iterator<RamRecord> {
    const record = new RamRecord(this);
    for (let i = 0; i < this.count; i++) {
      record.index = i;
      yield record;
    }
  }
}

/**
 * A window on one record of a batch.
 * @example
 * for await (const item of await openStream(bytes)) {
 *   if (item.kind !== "section") continue;
 *   for await (const batch of item.records()) {
 *     for (const { encoding, block, offset } of batch) console.log(encoding, block?.idstr, offset);
 *   }
 * }
 */
export class RamRecord {
  index = 0;

  constructor(private readonly batch: RamBatch) {}

  get encoding(): RamEncoding {
    return encodingOf(this.batch.flag[this.index]!);
  }

  /** The flag without CONTINUE, see `RamFlag`. */
  get flag(): number {
    return this.batch.flag[this.index]!;
  }

  /** Whether the block's name was left out. */
  get continues(): boolean {
    return this.batch.continues[this.index] === 1;
  }

  get block(): RamBlock | undefined {
    return this.batch.block[this.index];
  }

  /** Offset of the page in its block, in bytes. */
  get offset(): number {
    return this.batch.offset[this.index]!;
  }

  /** ZERO: the byte that fills the page (0 since QEMU 1.5). */
  get fill(): number {
    return this.batch.fill[this.index]!;
  }

  /** A view of the body: the page, the zlib stream or the XBZRLE delta; empty for other records. */
  get body(): Uint8Array {
    return this.batch.body(this.index);
  }

  /** Absolute offset of the record in the stream. */
  get position(): number {
    return this.batch.position[this.index]!;
  }

  get blockList(): BlockList | undefined {
    return this.batch.blockList;
  }
}
