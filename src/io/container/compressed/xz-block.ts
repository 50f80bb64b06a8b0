import { readLeb128 } from "../../../bytes/leb128.js";
import type { QemuFileReader } from "../../../bytes/reader.js";
import { DEFAULT_LIMITS } from "../../../codec/stream/limits.js";
import { LARGEST_DICTIONARY, Lzma2Decoder } from "../../../engine/lzma2.js";
import { littleU32 } from "../little.js";
import { crc32 } from "./checksums.js";
import { unlzma2 } from "./lzma2.js";
import { beginCheck, CHECK_BYTES } from "./xz-check.js";
import { delta, filtered, x86, type Filter } from "./xz-filters.js";

/** Filters (.xz file format 1.2.1, section 5.3). */
const DELTA = 3;
const X86 = 4;
const LZMA2 = 0x21;
const NAMES: Readonly<Record<number, string>> = {
  5: "PowerPC",
  6: "IA-64",
  7: "ARM",
  8: "ARM-Thumb",
  9: "SPARC",
  10: "ARM64",
  11: "RISC-V",
};
/** Flags of a block's header: filters less 1, reserved, whether sizes are there. */
const FILTERS = 3;
const RESERVED = 0x3c;
const HAS_LENGTH = 0x40;
const HAS_PLAIN = 0x80;

/** What a block is, as an index has it. */
export interface BlockSizes {
  /** Bytes without the padding to a multiple of four. */
  length: number;
  /** Plain bytes. */
  plain: number;
}

interface BlockHeader {
  length: number | undefined;
  plain: number | undefined;
  dictionary: number;
  /** In the order of unpacking. */
  filters: Filter[];
}

/**
 * Reads blocks of xz files, one after the other. Memory: a decoder, with the largest dictionary of the blocks. Errors:
 * truncated, bad-compressed-data, bad-length, limit, unsupported.
 */
export class XzBlocks {
  private constructor(
    private readonly decoder: Lzma2Decoder,
    private readonly window: number,
  ) {}

  /** @param window see {@link StreamLimits.windowBytes} */
  static async create(window = DEFAULT_LIMITS.windowBytes): Promise<XzBlocks> {
    return new XzBlocks(await Lzma2Decoder.create(), window);
  }

  /**
   * The plain bytes of the block that begins here, of which they are valid until the next piece; its sizes.
   *
   * @param check kind of the check after it, which the stream's flags say
   */
  async *read(reader: QemuFileReader, check: number): AsyncGenerator<Uint8Array, BlockSizes> {
    const start = reader.offset;
    const header = await this.header(reader);
    const from = reader.offset;
    this.decoder.begin(header.dictionary);
    const sum = beginCheck(check, this.decoder);
    let pieces = unlzma2(reader, this.decoder);
    for (const filter of header.filters) pieces = filtered(pieces, filter);
    let plain = 0;
    for await (const piece of pieces) {
      plain += piece.length;
      sum?.update(piece);
      yield piece;
    }
    const wrong = (what: string, expected: number, found: number): Error =>
      reader.error("bad-length", what, { offset: start, expected: `${expected}`, found: `${found}` });
    const packed = reader.offset - from;
    if (header.length !== undefined && header.length !== packed) throw wrong("xz block", header.length, packed);
    if (header.plain !== undefined && header.plain !== plain)
      throw wrong("plain bytes of xz block", header.plain, plain);
    await this.end(reader, -packed & 3, sum?.digest());
    const bytes = CHECK_BYTES[check]!;
    return { length: from - start + packed + bytes, plain };
  }

  /** Padding and check. */
  private async end(reader: QemuFileReader, padding: number, expected: Uint8Array | undefined): Promise<void> {
    await reader.need(padding, "the padding of an xz block");
    const at = reader.offset;
    if (reader.view(padding).some((byte) => byte !== 0)) {
      throw reader.error("bad-compressed-data", "padding of an xz block", { offset: at });
    }
    if (expected === undefined) return;
    await reader.need(expected.length, "the check of an xz block");
    const place = reader.offset;
    const found = reader.view(expected.length);
    if (found.every((byte, k) => byte === expected[k])) return;
    throw reader.error("bad-compressed-data", "xz: checksum of the block", {
      offset: place,
      expected: hex(expected),
      found: hex(found),
    });
  }

  /** Source: .xz file format 1.2.1, section 3.1. */
  private async header(reader: QemuFileReader): Promise<BlockHeader> {
    const start = reader.offset;
    await reader.need(1, "an xz block header");
    const size = (reader.peek() + 1) * 4;
    await reader.need(size, "an xz block header");
    const bytes = reader.view(size);
    if (littleU32(bytes, size - 4) !== crc32(bytes.subarray(0, size - 4))) {
      throw reader.error("bad-compressed-data", "xz: checksum of the block header", { offset: start });
    }
    const fields = new Fields(bytes.subarray(0, size - 4), reader, start);
    const flags = bytes[1]!;
    if ((flags & RESERVED) !== 0) throw fields.unsupported("flags of an xz block", flags);
    const length = (flags & HAS_LENGTH) === 0 ? undefined : fields.number();
    const plain = (flags & HAS_PLAIN) === 0 ? undefined : fields.number();
    if (length === 0) throw reader.error("bad-compressed-data", "xz block without bytes", { offset: start });
    const filters: Filter[] = [];
    for (let left = flags & FILTERS; left > 0; left--) filters.unshift(filterOf(fields.filter(), fields));
    const last = fields.filter();
    if (last.id !== LZMA2) throw fields.unsupported("xz without LZMA2, whose filter is", last.id);
    const dictionary = this.dictionary(last.properties, fields);
    fields.end();
    return { length, plain, dictionary, filters };
  }

  private dictionary(properties: Uint8Array, fields: Fields): number {
    const code = properties[0] ?? 0xff;
    if (properties.length !== 1 || code > 40) throw fields.unsupported("dictionary of LZMA2", code);
    const size = code === 40 ? 2 ** 32 - 1 : (2 + (code & 1)) * 2 ** ((code >> 1) + 11);
    if (size > this.window) throw fields.limit(`at most ${this.window}`, size);
    if (size > LARGEST_DICTIONARY) throw fields.unsupported("dictionary of LZMA2 above 3 GiB", code);
    return size;
  }
}

/** A block's header, read from its third byte on. */
class Fields {
  private at = 2;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly reader: QemuFileReader,
    private readonly start: number,
  ) {}

  number(): number {
    const number = readLeb128(this.bytes, this.at);
    if (typeof number === "string") {
      throw this.reader.error("bad-compressed-data", "number in an xz block header", { offset: this.start });
    }
    this.at = number.next;
    return number.value;
  }

  filter(): { id: number; properties: Uint8Array } {
    const id = this.number();
    const length = this.number();
    const from = this.at;
    this.at += length;
    if (this.at > this.bytes.length) {
      throw this.reader.error("bad-compressed-data", "filter of an xz block", { offset: this.start });
    }
    return { id, properties: this.bytes.subarray(from, this.at) };
  }

  end(): void {
    const rest = this.bytes.subarray(this.at).find((byte) => byte !== 0);
    if (rest !== undefined) throw this.unsupported("field of an xz block header", rest);
  }

  unsupported(what: string, found: number): Error {
    const text = NAMES[found] === undefined ? `0x${found.toString(16)}` : NAMES[found];
    return this.reader.error("unsupported", what, { offset: this.start, found: text });
  }

  limit(expected: string, found: number): Error {
    const what = "xz dictionary (--limit windowBytes=N)";
    return this.reader.error("limit", what, { offset: this.start, expected, found: `${found}` });
  }
}

/** A filter before LZMA2. */
function filterOf({ id, properties }: { id: number; properties: Uint8Array }, fields: Fields): Filter {
  if (id === DELTA && properties.length === 1) return delta(properties[0]! + 1);
  if (id === X86 && properties.length === 0) return x86(0);
  if (id === X86 && properties.length === 4) return x86(littleU32(properties, 0));
  throw fields.unsupported("xz filter (xz -dc FILE decompresses it)", id);
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
