import { hex, QevmError, type Diagnostics } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/reader.js";
import { readFully, type ByteSource, type Positioned } from "../../bytes/source.js";
import { compressBound, PAGE_ENCODINGS, RamFlag, type PageEncoding } from "../../codec/ram/index.js";
import type { PageInflater } from "../../engine/page-engine.js";
import { PageDecoder, pageStep } from "./page-decoder.js";
import type { PageFinder } from "./page-places.js";

/** The bytes of a stream, which can be read anywhere. */
export type StreamBytes = Positioned & Pick<ByteSource, "offset">;

/** Reads single pages of a stream from where they are. */
export class PageReader {
  private readonly decoder: PageDecoder;

  /** @param diagnostics default: what is damaged is refused */
  constructor(
    private readonly source: StreamBytes,
    private readonly finder: PageFinder,
    { inflater, diagnostics }: { inflater: PageInflater; diagnostics?: Diagnostics | undefined },
  ) {
    this.decoder = new PageDecoder(inflater.pageSize, { inflater, diagnostics });
  }

  /**
   * Puts the page at an offset of a block into `into`; a page that the stream does not mention is zeros.
   * Errors: bad-value (another record is where one of this page is meant to be), truncated, bad-compressed-data,
   * bad-xbzrle.
   */
  async read(block: string, offset: number, into: Uint8Array): Promise<void> {
    const { plain, records } = await this.finder.find(block, offset);
    if (plain === 0) into.fill(0);
    else if ((await this.bytes(plain, into)) < into.length) throw becameShorter(plain);
    for (const position of records) await this.apply(position, block, offset, into);
  }

  /** Applies the page record at an absolute offset to `page`, which holds what the page was before. */
  private async apply(position: number, block: string, offset: number, page: Uint8Array): Promise<void> {
    const bytes = new Uint8Array(8 + 256 + 4 + compressBound(page.length));
    const reader = QemuFileReader.over(bytes.subarray(0, await this.bytes(position, bytes)), position);
    reader.path.push(pageStep(block, offset));
    const encoding = checkHeader(reader, { position, block, offset }, page.length);
    const body = encoding.body(reader, page.length);
    try {
      this.decoder.decode(page, encoding, body);
    } catch (error) {
      this.decoder.damaged(error, page, encoding, { position, block, offset, path: reader.path });
    }
  }

  private bytes(position: number, into: Uint8Array): Promise<number> {
    return readFully(this.source, position - (this.source.offset ?? 0), into);
  }
}

/** Fewer bytes are there than when the stream was walked. */
export function becameShorter(offset: number): QevmError {
  return new QevmError("truncated", "the input became shorter while it was read", { offset });
}

/** The record's encoding. It must be of the page that is wanted, so that a wrong place is never taken for right. */
function checkHeader(
  reader: QemuFileReader,
  { position, block, offset }: { position: number; block: string; offset: number },
  pageSize: number,
): PageEncoding {
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
