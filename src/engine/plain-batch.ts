import { QevmError } from "../bytes/errors.js";
import {
  checkCapacity,
  checkCount,
  payloadBound,
  payloadRoom,
  RECORD_HEADER,
  type DeflateBatch,
  type InflateBatch,
  type PageDeflater,
  type PageInflater,
} from "./page-engine.js";
import { isZero } from "../bytes/zero.js";

const FLAG_ZERO = 0x02n;
const FLAG_COMPRESS_PAGE = 0x100n;

/** Batches for engines that process pages one by one (`exact`, `fast`). */
export class PlainDeflateBatch implements DeflateBatch {
  readonly pages: Uint8Array;
  readonly output: Uint8Array;
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
  readonly zero: Uint8Array;
  readonly words: BigUint64Array;
  private readonly view: DataView;
  private readonly each: readonly Uint8Array[];

  constructor(
    private readonly engine: PageDeflater,
    readonly capacity: number,
  ) {
    checkCapacity(capacity);
    const size = engine.pageSize;
    const pages = new Uint8Array(capacity * size);
    this.pages = pages;
    this.each = Array.from({ length: capacity }, (_, i) => pages.subarray(i * size, (i + 1) * size));
    this.output = new Uint8Array(capacity * (RECORD_HEADER + payloadBound(size)));
    this.view = new DataView(this.output.buffer);
    this.starts = new Uint32Array(capacity);
    this.lengths = new Uint32Array(capacity);
    this.zero = new Uint8Array(capacity);
    this.words = new BigUint64Array(capacity);
  }

  run(count: number): number {
    return this.deflateAll(count, false);
  }

  runRecords(count: number): number {
    return this.deflateAll(count, true);
  }

  private deflateAll(count: number, records: boolean): number {
    checkCount(count, this.capacity);
    let at = 0;
    for (let i = 0; i < count; i++) {
      const page = this.each[i]!;
      const zero = isZero(page);
      const start = at;
      this.zero[i] = zero ? 1 : 0;
      if (zero) {
        if (records) at = this.zeroRecord(at, this.words[i]!);
      } else {
        const payload = this.engine.deflate(page);
        if (records) at = this.compressedHeader(at, this.words[i]!, payload.length);
        this.output.set(payload, at);
        at += payload.length;
      }
      this.starts[i] = start;
      this.lengths[i] = at - start;
    }
    return at;
  }

  private zeroRecord(at: number, word: bigint): number {
    this.view.setBigUint64(at, word | FLAG_ZERO);
    this.output[at + 8] = 0;
    return at + 9;
  }

  private compressedHeader(at: number, word: bigint, length: number): number {
    this.view.setBigUint64(at, word | FLAG_COMPRESS_PAGE);
    this.view.setUint32(at + 8, length);
    return at + RECORD_HEADER;
  }
}

/** The counterpart of {@link PlainDeflateBatch}. */
export class PlainInflateBatch implements InflateBatch {
  readonly input: Uint8Array;
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
  readonly pages: Uint8Array;
  readonly produced: Uint32Array;
  private readonly each: readonly Uint8Array[];
  private readonly failures = new Map<number, QevmError>();

  constructor(
    private readonly engine: PageInflater,
    readonly capacity: number,
  ) {
    checkCapacity(capacity);
    const size = engine.pageSize;
    const pages = new Uint8Array(capacity * size);
    this.pages = pages;
    this.each = Array.from({ length: capacity }, (_, i) => pages.subarray(i * size, (i + 1) * size));
    this.input = new Uint8Array(capacity * payloadRoom(size));
    this.starts = new Uint32Array(capacity);
    this.lengths = new Uint32Array(capacity);
    this.produced = new Uint32Array(capacity);
  }

  run(count: number): number {
    checkCount(count, this.capacity);
    this.failures.clear();
    for (let i = 0; i < count; i++) {
      const start = this.starts[i]!;
      const end = start + this.lengths[i]!;
      if (end > this.input.length) throw outsideInput(i, this.input.length);
      try {
        this.engine.inflate(this.input.subarray(start, end), this.each[i]!);
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
        this.failures.set(i, error);
      }
      this.produced[i] = this.engine.produced;
    }
    return this.failures.size;
  }

  failure(index: number): QevmError | undefined {
    return this.failures.get(index);
  }
}

/** A usage error: `starts` and `lengths` point outside the batch's input. */
export function outsideInput(index: number, length: number): QevmError {
  return new QevmError("usage", `payload ${index} of the batch lies outside its input of ${length} bytes`);
}
