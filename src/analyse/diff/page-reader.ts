import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import type { PageInflater } from "../../engine/page-engine.js";
import { PageDecoder } from "../../guest/pages/page-decoder.js";
import { applyRecordAt } from "../../guest/pages/record-at.js";
import type { ByteSource, Positioned } from "../../bytes/source.js";
import { kindOf, PageKind, type PageTable, type Piece } from "./page-table.js";
import { inStream } from "./side.js";
import type { Side } from "./types.js";
import { Windows } from "./windows.js";

/** Which page. */
export interface PagePlace {
  block: string;
  /** Offset of the page in its block, in bytes. */
  offset: number;
  piece: Piece | undefined;
  /** Number of the page in its piece. */
  at: number;
}

/** Reads the last content of pages from the records that hold it. */
export class PageReader {
  private readonly windows: Windows;
  private readonly zeros: Uint8Array;
  private readonly page: Uint8Array;
  private readonly decoder: PageDecoder;

  constructor(
    private readonly side: Side,
    source: ByteSource & Positioned,
    private readonly table: PageTable,
    private readonly pageSize: number,
    inflater: PageInflater,
    diagnostics: Diagnostics,
  ) {
    this.windows = new Windows(source);
    this.zeros = new Uint8Array(pageSize);
    this.page = new Uint8Array(pageSize);
    this.decoder = new PageDecoder(pageSize, { inflater, diagnostics });
  }

  /**
   * The page, zeros where the stream does not mention it; valid until the next is asked for. Errors: bad-compressed-data, bad-xbzrle,
   * truncated, with the record's offset and the side.
   */
  read(place: PagePlace): Uint8Array | Promise<Uint8Array> {
    const { piece, at } = place;
    const kind = kindOf(piece, at);
    if (piece === undefined || kind === PageKind.NONE || kind === PageKind.ZERO) return this.zeros;
    if (kind === PageKind.PAGE || kind === PageKind.MAPPED) return this.whole(piece.base[at]!);
    return inStream(this.side, () => this.made(place, piece));
  }

  /** A page that stands in the stream as it is. */
  private whole(offset: number): Uint8Array | Promise<Uint8Array> {
    const view = this.windows.view(offset, this.pageSize);
    return view instanceof Uint8Array && view.length === this.pageSize
      ? view
      : inStream(this.side, () => this.checked(offset, view));
  }

  private async checked(offset: number, view: Uint8Array | Promise<Uint8Array>): Promise<Uint8Array> {
    const bytes = await view;
    if (bytes.length === this.pageSize) return bytes;
    throw new QevmError("truncated", "the input became shorter while it was read", { offset });
  }

  /** A page that its records make. */
  private async made({ block, offset, at }: PagePlace, piece: Piece): Promise<Uint8Array> {
    const { page, windows, decoder } = this;
    const base = piece.base[at]!;
    const kind = piece.kind[at]!;
    page.fill(0);
    if (kind === PageKind.PAGE || kind === PageKind.MAPPED) page.set(await this.whole(base));
    else if (kind === PageKind.COMPRESS_PAGE || kind === PageKind.FILL) {
      await applyRecordAt(windows, { position: base, block, offset }, page, decoder);
    }
    for (const position of this.table.deltasOf(piece, at)) {
      await applyRecordAt(windows, { position, block, offset }, page, decoder);
    }
    return page;
  }
}
