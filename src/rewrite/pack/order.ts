import { QevmError } from "../../bytes/errors.js";
import { readLeb128, writeLeb128 } from "../../bytes/leb128.js";
import { RamFlag } from "../../codec/ram/index.js";

/**
 * `records.bin`: the order of the RAM records, a run of like records in a few bytes. Contents are elsewhere: the last
 * content of a page in its block's file, earlier ones and stored payloads in `versions.bin`, in the order of the
 * records.
 *
 * | field            | condition                                                                          |
 * |------------------|------------------------------------------------------------------------------------|
 * | u8               | bits 0 to 3 kind, 0x10 named, 0x20 jump, 0x40 many                                 |
 * | u8               | kinds with a detail: level of COMPRESSED, fill of FILL and FILL_OLD                |
 * | number block     | named: the first record of the run names its block (place in the block list)       |
 * | number page      | jump: page number of the first; else the one after the record before. Kinds without page: the upper bits of the record |
 * | number count     | many: records in the run, pages ascending; else 1                                  |
 *
 * Numbers are LEB128 (src/bytes/leb128.ts). A chunk ends with its EOS.
 */
export const Kind = {
  EOS: 0,
  FLUSH: 1,
  HOOK: 2,
  /** A block list, the next one of the manifest. */
  BLOCKS: 3,
  ZERO: 4,
  PAGE: 5,
  /** Its page compressed at the level of the detail gives the payload. */
  COMPRESSED: 6,
  /** Payload stored, since no level gives it. */
  COMPRESSED_STORED: 7,
  /** The difference of its page from the version before gives the payload. */
  XBZRLE: 8,
  XBZRLE_STORED: 9,
  /** From here: a later record has the page again. */
  ZERO_OLD: 10,
  PAGE_OLD: 11,
  COMPRESSED_OLD: 12,
  XBZRLE_OLD: 13,
  /** ZERO with another fill than 0. */
  FILL: 14,
  FILL_OLD: 15,
} as const;

/** The kinds of records that are neither pages nor block lists, and their flags. */
export const MARKS: readonly (readonly [kind: number, flag: number])[] = [
  [Kind.EOS, RamFlag.EOS],
  [Kind.FLUSH, RamFlag.MULTIFD_FLUSH],
  [Kind.HOOK, RamFlag.HOOK],
];

const NAMED = 0x10;
const JUMP = 0x20;
const MANY = 0x40;
const DETAILED: ReadonlySet<number> = new Set([Kind.COMPRESSED, Kind.FILL, Kind.FILL_OLD]);

/** Records that follow each other. */
export interface Run {
  kind: number;
  detail: number;
  /** Place in the block list when the first record names its block; -1: CONTINUE. */
  named: number;
  /** First page number; for kinds without page the upper bits over the page size. */
  page: number;
  count: number;
}

/** Whether records of this kind are pages. */
export function isPageKind(kind: number): boolean {
  return kind >= Kind.ZERO;
}

/** Writes runs as records come one by one. */
export class OrderWriter {
  private bytes = new Uint8Array(1 << 16);
  private used = 0;
  private next = 0;
  private run: Run | undefined;

  constructor(private readonly write: (bytes: Uint8Array) => void) {}

  add(kind: number, detail: number, named: number, page: number): void {
    const { run } = this;
    if (
      run !== undefined &&
      isPageKind(kind) &&
      run.kind === kind &&
      run.detail === detail &&
      named < 0 &&
      page === run.page + run.count
    ) {
      run.count++;
      return;
    }
    this.endRun();
    this.run = { kind, detail, named, page, count: 1 };
  }

  finish(): void {
    this.endRun();
    this.write(this.bytes.subarray(0, this.used));
    this.used = 0;
  }

  private endRun(): void {
    const { run } = this;
    if (run === undefined) return;
    if (this.used + 32 > this.bytes.length) {
      this.write(this.bytes.subarray(0, this.used));
      this.used = 0;
    }
    const paged = isPageKind(run.kind);
    const jump = run.page !== (paged ? this.next : 0);
    const many = run.count > 1;
    this.bytes[this.used++] = run.kind | (run.named < 0 ? 0 : NAMED) | (jump ? JUMP : 0) | (many ? MANY : 0);
    if (DETAILED.has(run.kind)) this.bytes[this.used++] = run.detail;
    if (run.named >= 0) this.number(run.named);
    if (jump) this.number(run.page);
    if (many) this.number(run.count);
    if (paged) this.next = run.page + run.count;
    this.run = undefined;
  }

  private number(value: number): void {
    this.used = writeLeb128(value, this.bytes, this.used);
  }
}

/** Reads runs. `file` is named in errors. */
export class OrderReader {
  private at = 0;
  private nextPage = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly file: string,
  ) {}

  get atEnd(): boolean {
    return this.at >= this.bytes.length;
  }

  next(): Run {
    const first = this.u8();
    const kind = first & 0x0f;
    const paged = isPageKind(kind);
    const detail = DETAILED.has(kind) ? this.u8() : 0;
    const named = (first & NAMED) === 0 ? -1 : this.number();
    const page = (first & JUMP) === 0 ? (paged ? this.nextPage : 0) : this.number();
    const count = (first & MANY) === 0 ? 1 : this.number();
    if (paged) this.nextPage = page + count;
    if ((first & 0x80) !== 0 || !Number.isSafeInteger(this.nextPage)) throw this.error("is damaged");
    return { kind, detail, named, page, count };
  }

  error(what: string): QevmError {
    return new QevmError("bad-description", `${this.file} ${what}`, { offset: this.at });
  }

  private u8(): number {
    const byte = this.bytes[this.at++];
    if (byte === undefined) throw this.error("ends early");
    return byte;
  }

  private number(): number {
    const number = readLeb128(this.bytes, this.at);
    if (number === "cut") throw this.error("ends early");
    if (number === "wrong" || !Number.isSafeInteger(number.value)) throw this.error("is damaged");
    this.at = number.next;
    return number.value;
  }
}
