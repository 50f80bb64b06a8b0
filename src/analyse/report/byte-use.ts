import { RamFlag, type RamBatch } from "../../codec/ram/index.js";
import type { StreamItem } from "../../codec/stream/index.js";

/** What bytes of a file are spent on. */
export const USES = {
  plain: "Page contents, as they are",
  compressed: "Page contents, compressed",
  xbzrle: "Page contents, as XBZRLE deltas",
  records: "RAM records without contents: headers, block names, zero pages, block list",
  absent: "mapped-ram: bitmaps, and room of pages that are not there",
  sections: "Other iterative sections (disks, dirty bitmaps, ...)",
  devices: "Device state",
  framing: "Header, configuration, commands, section headers and footers, EOF",
  description: "VMDESCRIPTION",
  opaque: "Not understood",
  trailing: "After the end of the stream",
} as const;

export type Use = keyof typeof USES;

/** Counts bytes by what they are spent on. Every byte from the first item on is counted once. */
export class ByteUse {
  private readonly bytes = new Map<Use, number>();
  private last: { offset: number; use: Use; known: number } | undefined;
  /** Contents among the bytes of the RAM section that is being read. */
  private contents = 0;

  item(item: StreamItem): void {
    this.ends(item.offset);
    this.last = { offset: item.offset, ...useOf(item) };
    this.contents = 0;
  }

  batch(batch: RamBatch): void {
    const { mappedBlock } = batch;
    if (mappedBlock !== undefined) {
      this.content("absent", mappedBlock.bitmap.length + mappedBlock.gapLength);
      return;
    }
    if (batch.area) {
      this.area(batch);
      return;
    }
    let plain = 0;
    let compressed = 0;
    let xbzrle = 0;
    for (let i = 0; i < batch.count; i++) {
      switch (batch.flag[i]) {
        case RamFlag.PAGE:
          plain += batch.bodyLength[i]!;
          break;
        case RamFlag.COMPRESS_PAGE:
          compressed += batch.bodyLength[i]!;
          break;
        case RamFlag.XBZRLE:
          xbzrle += batch.bodyLength[i]!;
          break;
      }
    }
    this.content("plain", plain);
    this.content("compressed", compressed);
    this.content("xbzrle", xbzrle);
  }

  /** @param end absolute offset of the first byte that was not read */
  result(end: number): { use: Use; bytes: number }[] {
    this.ends(end);
    this.last = undefined;
    const uses = Object.keys(USES) as Use[];
    return uses.map((use) => ({ use, bytes: this.bytes.get(use) ?? 0 })).filter(({ bytes }) => bytes > 0);
  }

  private area(batch: RamBatch): void {
    const pageSize = Number(batch.block[0]?.mapped?.pageSize ?? 0);
    let present = 0;
    for (let i = 0; i < batch.count; i++) if (batch.flag[i] === RamFlag.PAGE) present++;
    this.content("plain", present * pageSize);
    this.content("absent", (batch.count - present) * pageSize);
  }

  private content(use: Use, bytes: number): void {
    this.contents += bytes;
    this.add(use, bytes);
  }

  /** The bytes of the last item, but for those that are counted already. */
  private ends(offset: number): void {
    const { last, contents } = this;
    if (last === undefined) return;
    const bytes = Math.max(0, offset - last.offset - contents);
    const known = Math.min(last.known, bytes);
    this.add(last.use, known);
    this.add(last.use === "records" || last.use === "sections" ? last.use : "framing", bytes - known);
  }

  private add(use: Use, bytes: number): void {
    if (bytes > 0) this.bytes.set(use, (this.bytes.get(use) ?? 0) + bytes);
  }
}

/** What an item is, and how many of its bytes are that; the others are framing. */
function useOf(item: StreamItem): { use: Use; known: number } {
  const all = Number.MAX_SAFE_INTEGER;
  switch (item.kind) {
    case "section": {
      const { content } = item;
      if (content.kind === "ram") return { use: "records", known: all };
      if (content.kind === "records") return { use: "sections", known: all };
      if (content.kind === "device") return { use: "devices", known: content.length };
      return { use: "opaque", known: content.bytes.length };
    }
    case "vmdescription":
      return { use: "description", known: all };
    case "opaque":
      return { use: "opaque", known: all };
    case "trailing":
      return { use: "trailing", known: all };
    default:
      return { use: "framing", known: all };
  }
}
