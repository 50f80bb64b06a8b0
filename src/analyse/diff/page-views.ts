import type { Diagnostics } from "../../bytes/errors.js";
import type { ByteSource, Positioned } from "../../bytes/source.js";
import type { PageInflater } from "../../engine/page-engine.js";
import type { PagePlaces } from "../../guest/pages/page-places.js";
import { becameShorter, PageReader } from "../../guest/pages/page-reader.js";
import { inStream } from "./side.js";
import type { Side } from "./types.js";
import { Windows } from "./windows.js";

/** The last content of pages of one stream; those that are in the stream as they are, without a copy. */
export class PageViews {
  private readonly windows: Windows;
  private readonly reader: PageReader;
  private readonly zeros: Uint8Array;
  private readonly page: Uint8Array;

  constructor(
    private readonly side: Side,
    source: ByteSource & Positioned,
    private readonly places: PagePlaces,
    inflater: PageInflater,
    diagnostics: Diagnostics,
  ) {
    this.windows = new Windows(source);
    this.reader = new PageReader(this.windows, places, { inflater, diagnostics });
    this.zeros = new Uint8Array(inflater.pageSize);
    this.page = new Uint8Array(inflater.pageSize);
  }

  /**
   * The page at an offset of a block, zeros where the stream does not mention it; valid until the next is asked for.
   * Errors: as `PageReader`, with the side.
   */
  view(block: string, offset: number): Uint8Array | Promise<Uint8Array> {
    const { page } = this;
    const { plain, records } = this.places.find(block, offset);
    if (records.length > 0) return this.read(block, offset, page).then(() => page);
    if (plain === 0) return this.zeros;
    const view = this.windows.view(plain, page.length);
    return view instanceof Uint8Array ? view : inStream(this.side, () => this.whole(plain, view));
  }

  /** A copy of the page, in `into`. Errors: as `view`. */
  read(block: string, offset: number, into: Uint8Array): Promise<void> {
    return inStream(this.side, () => this.reader.read(block, offset, into));
  }

  private async whole(plain: number, view: Promise<Uint8Array>): Promise<Uint8Array> {
    const bytes = await view;
    if (bytes.length < this.page.length) throw becameShorter(plain);
    return bytes;
  }
}
