import { QevmError } from "../bytes/errors.js";

/**
 * One page in, one zlib stream out, and back: the interface that every engine stands behind.
 *
 * | kind         | deflate                                   | where                     |
 * | ------------ | ----------------------------------------- | ------------------------- |
 * | `exact`      | the bytes of C zlib 1.2.13, levels 0 to 9 | pako, anywhere            |
 * | `fast`       | any zlib bytes, levels 0 to 9             | node:zlib, Node only      |
 * | `page`       | any zlib bytes, one effort                | our WebAssembly, anywhere |
 * | `page-fixed` | the same, faster and larger               | our WebAssembly, anywhere |
 * | `page-exact` | the bytes of C zlib 1.2.13, level 1 only  | our WebAssembly, anywhere |
 *
 * All inflaters accept the same streams and refuse the same ones, with the same words.
 *
 * An engine keeps its state for its whole life and resets it a page; one engine belongs to one thread.
 * Parameters are QEMU's (migration/ram.c 2.4 to 8.0, migration/ram-compress.c 8.1 to 9.0): windowBits 15, memLevel 8,
 * default strategy, the whole page in one finishing call.
 */
export type EngineKind = "exact" | "fast" | "page" | "page-fixed" | "page-exact";

/** QEMU's target page on x86, arm, ppc, s390x and riscv. */
export const DEFAULT_PAGE_SIZE = 4096;

/** QEMU's default for the migration parameter `compress-level`. */
export const DEFAULT_LEVEL = 1;

/** Bytes of a record header that {@link DeflateBatch.runRecords} writes before a payload: be64 and be32. */
export const RECORD_HEADER = 12;

/** What a page may become: the `compressBound` of stock zlib, which QEMU's loader refuses to exceed (4110 for 4096). */
export function payloadBound(pageSize: number): number {
  return pageSize + (pageSize >>> 12) + (pageSize >>> 14) + (pageSize >>> 25) + 13;
}

/** Bytes that copies between memories move at a time where both places lie alike in them. */
export const WORD = 8;

/** Room for a payload in a batch's input, wherever in a word it begins. */
export function payloadRoom(pageSize: number): number {
  return payloadBound(pageSize) + WORD;
}

/** The largest page whose positions fit the page engine's tables. */
const LARGEST_PAGE = 4096;

/** True where the page engine takes such pages; for others the factory gives another engine. */
export function suitsPageEngine(pageSize: number): boolean {
  return pageSize <= LARGEST_PAGE && pageSize % 64 === 0;
}

/** What engines are made with. */
export interface EngineOptions {
  /** 0 to 9, default 1; the `page` kinds know one effort only and `page-exact` is level 1. */
  level?: number | undefined;
  /** Bytes a page, default 4096. */
  pageSize?: number | undefined;
}

/** Compresses pages. Made by `createDeflater`. */
export interface PageDeflater {
  readonly kind: EngineKind;
  readonly level: number;
  readonly pageSize: number;
  /**
   * One page to one zlib stream. The result is a view that is valid until the next call on this engine.
   * A page of another length than `pageSize` is the error `usage`.
   */
  deflate(page: Uint8Array): Uint8Array;
  /** A batch of up to `capacity` pages; it lives in this engine's memory and shares its state. */
  batch(capacity: number): DeflateBatch;
}

/**
 * Pages deflated together. Fill `pages`, then `run` or `runRecords`. Take the arrays from here before every use, never keep
 * them: another batch of the same engine may move its memory.
 */
export interface DeflateBatch {
  readonly capacity: number;
  /** Room for `capacity` pages side by side. Copying a live page here is what protects it from the guest's writes. */
  readonly pages: Uint8Array;
  /** What the last run wrote. */
  readonly output: Uint8Array;
  /** Where in `output` each page's bytes start. */
  readonly starts: Uint32Array;
  /** How many bytes they are. */
  readonly lengths: Uint32Array;
  /** For each page 1 where it holds nothing but zeros. */
  readonly zero: Uint8Array;
  /** For `runRecords`: page offset in its block, with flag CONTINUE (0x20) where wanted. */
  readonly words: BigUint64Array;
  /** Deflates the first `count` pages, packed from byte 0 of `output`; zero pages get length 0. Returns the bytes written. */
  run(count: number): number;
  /**
   * The same as finished records of the ram section: `be64 word|0x100, be32 length, payload` for a compressed page and
   * `be64 word|0x02, u8 0` for a zero page. `starts` and `lengths` describe whole records.
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
   * One zlib stream to one page. Anything but exactly one page, all of the payload used and the checksum right is the error
   * `bad-compressed-data`, whose message says which; the bytes before the damage have been written then (as QEMU does) and
   * `produced` counts them.
   */
  inflate(payload: Uint8Array, into: Uint8Array): void;
  /** A batch of up to `capacity` payloads; it lives in this engine's memory and shares its state. */
  batch(capacity: number): InflateBatch;
}

/** Payloads inflated together: copy them into `input`, say where they are, then `run`. Never keep the arrays. */
export interface InflateBatch {
  readonly capacity: number;
  /** Room for `capacity` payloads of `payloadRoom(pageSize)` bytes each. */
  readonly input: Uint8Array;
  readonly starts: Uint32Array;
  readonly lengths: Uint32Array;
  /** The pages, side by side. */
  readonly pages: Uint8Array;
  /** Bytes written of each page: `pageSize` where it was good. */
  readonly produced: Uint32Array;
  /** Inflates the first `count` payloads and returns how many of them were refused. */
  run(count: number): number;
  /** Why the page at `index` was refused by the last run; undefined where it was good. */
  failure(index: number): QevmError | undefined;
}

/** Checks what every engine is made with. */
export function checkOptions(options: EngineOptions): { level: number; pageSize: number } {
  const level = options.level ?? DEFAULT_LEVEL;
  const pageSize = options.pageSize ?? DEFAULT_PAGE_SIZE;
  if (!Number.isInteger(level) || level < 0 || level > 9) {
    throw new QevmError("usage", "no such compression level", { expected: "0 to 9", found: String(level) });
  }
  if (!Number.isInteger(pageSize) || pageSize < 256 || pageSize > 1 << 16) {
    throw new QevmError("usage", "no such page size", { expected: "256 to 65536 bytes", found: String(pageSize) });
  }
  return { level, pageSize };
}

/** Refuses a page of another size. */
export function checkPage(page: Uint8Array, pageSize: number): void {
  if (page.length !== pageSize) {
    throw new QevmError("usage", "not one page", { expected: `${pageSize} bytes`, found: `${page.length} bytes` });
  }
}

/** Refuses a batch of no or absurdly many pages. */
export function checkCapacity(capacity: number): void {
  if (!Number.isInteger(capacity) || capacity < 1 || capacity > 4096) {
    throw new QevmError("usage", "no such batch", { expected: "1 to 4096 pages", found: String(capacity) });
  }
}

/** Refuses more pages than the batch has room for. */
export function checkCount(count: number, capacity: number): void {
  if (!Number.isInteger(count) || count < 0 || count > capacity) {
    throw new QevmError("usage", "no such number of pages", { expected: `0 to ${capacity}`, found: String(count) });
  }
}
