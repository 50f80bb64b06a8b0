import type { QemuFileReader } from "../../bytes/reader.js";
import { RamFlag, type RamEncoding } from "./flags.js";
import { decodeXbzrle } from "./xbzrle.js";

/** What inflates a page: an engine. */
export interface Inflates {
  /** Errors: bad-compressed-data. */
  inflate(payload: Uint8Array, page: Uint8Array): unknown;
  /** How many bytes of the page the last call made, also where it threw. */
  readonly produced: number;
}

/** How a record that carries one page holds it. The record's layout is in flags.ts. */
export interface PageEncoding {
  readonly flag: number;
  readonly name: RamEncoding;
  /** Whether the record changes what the page was before, instead of holding it whole. */
  readonly delta: boolean;
  /** Reads the body of a single record, after the block name. A view, valid until the next read. Errors: truncated. */
  body(reader: QemuFileReader, pageSize: number): Uint8Array;
  /** Makes the page of a body. `page` holds what it was before. Errors: bad-compressed-data, bad-xbzrle. */
  decode(page: Uint8Array, body: Uint8Array, inflater: () => Inflates): void;
  /** After `decode` threw: leaves in `page` what takes its place in lenient mode, and returns it in words. */
  replace(page: Uint8Array, inflater: () => Inflates): string;
}

const ZERO: PageEncoding = {
  flag: RamFlag.ZERO,
  name: "zero",
  delta: false,
  body: (reader) => reader.view(1, "fill byte"),
  decode: (page, body) => void page.fill(body[0]!),
  replace: () => PAGE_BEFORE,
};

const NORMAL: PageEncoding = {
  flag: RamFlag.PAGE,
  name: "normal",
  delta: false,
  body: (reader, pageSize) => reader.view(pageSize, "page data"),
  decode: (page, body) => page.set(body),
  replace: () => PAGE_BEFORE,
};

const COMPRESSED: PageEncoding = {
  flag: RamFlag.COMPRESS_PAGE,
  name: "compressed",
  delta: false,
  body: (reader) => reader.view(reader.u32(), "page data"),
  decode: (page, body, inflater) => void inflater().inflate(body, page),
  replace: (page, inflater) => replaceInflated(page, inflater().produced),
};

const XBZRLE: PageEncoding = {
  flag: RamFlag.XBZRLE,
  name: "xbzrle",
  delta: true,
  body: (reader) => {
    reader.skip(1);
    return reader.view(reader.u16(), "page data");
  },
  decode: (page, body) => void decodeXbzrle(page, body),
  replace: () => PAGE_BEFORE,
};

/** What replaces a page whose XBZRLE delta is damaged: `decodeXbzrle` leaves the old page unchanged. */
const PAGE_BEFORE = "the page as it was before";

/** Every encoding of a page, by its flag. */
export const PAGE_ENCODINGS: ReadonlyMap<number, PageEncoding> = new Map(
  [ZERO, NORMAL, COMPRESSED, XBZRLE].map((encoding) => [encoding.flag, encoding]),
);

/**
 * What takes the place of a compressed page that is damaged after `produced` bytes: these and zeros (up to 2.12 QEMU
 * sends such pages and sends them again later). Returns it in words.
 */
export function replaceInflated(page: Uint8Array, produced: number): string {
  page.fill(0, produced);
  return produced === 0 ? "zeros" : `the ${produced} bytes before the damage, and zeros`;
}

const OTHER_WORDS: ReadonlyMap<number, RamEncoding> = new Map([
  [RamFlag.MEM_SIZE, "blocks"],
  [RamFlag.HOOK, "hook"],
  [RamFlag.MULTIFD_FLUSH, "flush"],
  [RamFlag.EOS, "eos"],
]);

/** The word for a flag without CONTINUE. */
export function encodingOf(flag: number): RamEncoding {
  const word = PAGE_ENCODINGS.get(flag)?.name ?? OTHER_WORDS.get(flag);
  if (word === undefined) throw new RangeError(`not a RAM record flag: ${flag}`);
  return word;
}
