import type { ScratchMemory } from "../../guest/files/scratch.js";
import { RamFlag } from "../../codec/ram/index.js";
import {
  encodeFooter,
  type ExactWriter,
  type SectionItem,
  type StreamItem,
  type StreamReader,
} from "../../codec/stream/index.js";
import { standsBetween } from "./between.js";
import type { ItemConverter } from "./conversion.js";
import { OneWay } from "./one-way.js";
import { noPages } from "./types.js";

/**
 * A stream in which every page is written once, after all were read: the section that holds them is pending until then.
 */
export abstract class OneRound implements ItemConverter {
  readonly pages = { in: noPages(), out: noPages() };
  protected memory: ScratchMemory | undefined;
  /** The section whose pages are pending. */
  protected owed: SectionItem | undefined;
  /** The footer of a section that was left out is left out too. */
  protected skipFooter = false;
  /** Commands between the rounds: they come after the pages now. */
  private held: StreamItem[] = [];
  private readonly oneWay = new OneWay();

  constructor(
    protected readonly reader: StreamReader,
    protected readonly writer: ExactWriter,
  ) {}

  async item(item: StreamItem): Promise<void> {
    if (this.oneWay.drops(item)) return;
    if (item.kind === "section" && item.content.kind === "ram") {
      await this.section(item);
    } else if (item.kind === "footer" && this.skipFooter) {
      this.skipFooter = false;
    } else if (item.kind === "command" && this.owed !== undefined) {
      this.held.push(item);
    } else if (standsBetween(item)) {
      await this.writer.item(item);
    } else {
      // Device state, EOF: without an END (background snapshots have none) the pages are written here.
      if (item.kind !== "footer") await this.end();
      await this.writer.item(item);
    }
  }

  async end(): Promise<void> {
    await this.writePending();
    await this.oneWay.release(this.writer);
  }

  async close(): Promise<void> {
    this.memory?.close();
  }

  protected abstract section(item: SectionItem): Promise<void>;

  /** Writes the pending section with every page, without its EOS. */
  protected abstract write(owed: SectionItem): Promise<void>;

  /** Writes the pending section, and the commands that were held back for it. */
  protected async writePending(): Promise<void> {
    const { owed, held } = this;
    if (owed === undefined) return;
    this.owed = undefined;
    this.held = [];
    await this.write(owed);
    this.endOfChunk();
    if (this.reader.footers === true) encodeFooter(this.writer.file, owed.sectionId);
    for (const later of held) await this.writer.item(later);
  }

  protected endOfChunk(): void {
    this.writer.wire.mark(RamFlag.EOS);
  }
}
