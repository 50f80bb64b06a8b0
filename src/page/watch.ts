import { Checkpoints } from "../analyse/dump/window.js";
import { PageMap } from "../analyse/report/page-map.js";
import type { RamBatch } from "../codec/ram/index.js";
import type { SectionItem, StreamItem, StreamReader } from "../codec/stream/index.js";

/** What the page shows of a whole stream, gathered while it is explained. */
export class Watch {
  readonly devices: SectionItem[] = [];
  readonly checkpoints = new Checkpoints();
  reader!: StreamReader;
  map!: PageMap;

  begin(reader: StreamReader): void {
    this.reader = reader;
    this.map = new PageMap(reader.ram);
  }

  item(item: StreamItem): void {
    this.checkpoints.note(item, this.reader);
    if (item.kind === "section" && item.type === "full") this.devices.push(item);
  }

  batch(batch: RamBatch): void {
    this.map.note(batch);
  }
}
