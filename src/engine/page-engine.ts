import { QevmError } from "../bytes/errors.js";

/**
 * The interface of every engine: one page to one zlib stream and back.
 *
 * | kind         | deflate                                   | where                     |
 * | ------------ | ----------------------------------------- | ------------------------- |
 * | `exact`      | the bytes of C zlib 1.2.13, levels 0 to 9 | pako, anywhere            |
 * | `fast`       | any zlib bytes, levels 0 to 9             | node:zlib, Node only      |
 * | `page`       | any zlib bytes, one effort                | our WebAssembly, anywhere |
 * | `page-fixed` | the same, faster and larger               | our WebAssembly, anywhere |
 * | `page-exact` | the bytes of C zlib 1.2.13, level 1 only  | our WebAssembly, anywhere |
 *
 * All inflaters accept and refuse the same streams, with the same messages.
 *
 * An engine keeps its state and resets it for each page. It belongs to one thread. Parameters are QEMU's
 * (migration/ram.c 2.4 to 8.0, migration/ram-compress.c 8.1 to 9.0): windowBits 15, memLevel 8, default strategy, the
 * whole page in one finishing call.
 */
export type EngineKind = "exact" | "fast" | "page" | "page-fixed" | "page-exact";

/** QEMU's target page on x86, arm, ppc, s390x and riscv. */
export const DEFAULT_PAGE_SIZE = 4096;

/** QEMU's default for the migration parameter `compress-level`. */
export const DEFAULT_LEVEL = 1;

/** Size of the record header that {@link DeflateBatch.runRecords} writes before a payload: be64 and be32. */
export const RECORD_HEADER = 12;

/** Maximum payload of a page: `compressBound` of stock zlib, which QEMU's loader enforces (4110 for 4096). */
export function payloadBound(pageSize: number): number {
  return pageSize + (pageSize >>> 12) + (pageSize >>> 14) + (pageSize >>> 25) + 13;
}

/** Bytes moved at a time when source and target have the same alignment. */
const WORD = 8;

/** Space for a payload in a batch's input, at any alignment within a word. */
export function payloadRoom(pageSize: number): number {
  return payloadBound(pageSize) + WORD;
}

/** The largest page that the page engine's tables can index. */
const LARGEST_PAGE = 4096;

/** True where the page engine supports the page size. Otherwise the factory returns another engine. */
export function suitsPageEngine(pageSize: number): boolean {
  return pageSize <= LARGEST_PAGE && pageSize % 64 === 0;
}

/** Options of every engine. */
export interface EngineOptions {
  /** 0 to 9, default 1. The `page` kinds have only one effort, and `page-exact` is level 1. */
  level?: number | undefined;
  /** Bytes per page, default 4096. */
  pageSize?: number | undefined;
}

/** Compresses pages. Made by `createDeflater`. */
export interface PageDeflater {
  readonly kind: EngineKind;
  readonly level: number;
  readonly pageSize: number;
  /**
   * Compresses one page to one zlib stream. The result is a view, valid until the next call on this engine. Errors:
   * usage where the page's length is not `pageSize`.
   */
  deflate(page: Uint8Array): Uint8Array;
  /** A batch of up to `capacity` pages. It is in this engine's memory and shares its state. */
  batch(capacity: number): DeflateBatch;
}

/**
 * Pages deflated together. Fill `pages`, then call `run` or `runRecords`. Get the arrays from the batch before every
 * use and never keep them: another batch of the same engine may move its memory.
 */
export interface DeflateBatch {
  readonly capacity: number;
  /** Space for `capacity` pages side by side. Copying a live page here protects it from writes by the guest. */
  readonly pages: Uint8Array;
  /** Output of the last run. */
  readonly output: Uint8Array;
  /** Start of each page's bytes in `output`. */
  readonly starts: Uint32Array;
  /** Length of each page's bytes. */
  readonly lengths: Uint32Array;
  /** 1 for each page that is all zero. */
  readonly zero: Uint8Array;
  /** For `runRecords`: the page offset in its block, with flag CONTINUE (0x20) where wanted. */
  readonly words: BigUint64Array;
  /**
   * Deflates the first `count` pages, packed from byte 0 of `output`; zero pages get length 0. Returns the bytes
   * written.
   */
  run(count: number): number;
  /**
   * Like `run`, but writes complete records of the ram section: `be64 word|0x100, be32 length, payload` for a
   * compressed page and `be64 word|0x02, u8 0` for a zero page. `starts` and `lengths` are those of the whole records.
   */
  runRecords(count: number): number;
}

/** Decompresses pages. Made by `createInflater`. */
export interface PageInflater {
  readonly kind: EngineKind;
  readonly pageSize: number;
  /** Bytes of the page that the last call wrote: `pageSize`, or fewer after an error. */
  readonly produced: number;
  /**
   * Decompresses one zlib stream to one page. Errors: bad-compressed-data, unless the stream gives exactly one page,
   * uses the whole payload and has the right checksum. After an error the bytes before the damage are written (as in
   * QEMU) and `produced` counts them.
   */
  inflate(payload: Uint8Array, into: Uint8Array): void;
  /** A batch of up to `capacity` payloads. It is in this engine's memory and shares its state. */
  batch(capacity: number): InflateBatch;
}

/** Payloads inflated together: copy them into `input`, set their positions, then call `run`. Never keep the arrays. */
export interface InflateBatch {
  readonly capacity: number;
  /** Space for `capacity` payloads of `payloadRoom(pageSize)` bytes each. */
  readonly input: Uint8Array;
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
  /** The pages, side by side. */
  readonly pages: Uint8Array;
  /** Bytes written of each page: `pageSize` where it was valid. */
  readonly produced: Uint32Array;
  /** Inflates the first `count` payloads. Returns how many were refused. */
  run(count: number): number;
  /** Why the last run refused the page at `index`; undefined where it was valid. */
  failure(index: number): QevmError | undefined;
}

/** Checks the options of every engine. */
export function checkOptions(options: EngineOptions): { level: number; pageSize: number } {
  const level = options.level ?? DEFAULT_LEVEL;
  const pageSize = options.pageSize ?? DEFAULT_PAGE_SIZE;
  if (!Number.isInteger(level) || level < 0 || level > 9) {
    throw new QevmError("usage", "invalid compression level", { expected: "0 to 9", found: String(level) });
  }
  if (!Number.isInteger(pageSize) || pageSize < 256 || pageSize > 1 << 16) {
    throw new QevmError("usage", "invalid page size", { expected: "256 to 65536 bytes", found: String(pageSize) });
  }
  return { level, pageSize };
}

/** Refuses a page of another size. */
export function checkPage(page: Uint8Array, pageSize: number): void {
  if (page.length !== pageSize) {
    throw new QevmError("usage", "not one page", { expected: `${pageSize} bytes`, found: `${page.length} bytes` });
  }
}

/** Refuses a batch capacity of zero or of too many pages. */
export function checkCapacity(capacity: number): void {
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > 4096) {
    throw new QevmError("usage", "invalid batch size", { expected: "1 to 4096 pages", found: String(capacity) });
  }
}

/** Refuses more pages than the batch holds. */
export function checkCount(count: number, capacity: number): void {
  if (!Number.isInteger(count) || count < 0 || count > capacity) {
    throw new QevmError("usage", "invalid number of pages", { expected: `0 to ${capacity}`, found: String(count) });
  }
}
