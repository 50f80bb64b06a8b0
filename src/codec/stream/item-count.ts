import type { QemuFileReader } from "../../bytes/reader.js";

/** Counts the sections, parts and commands of a stream: a consumer that lists them needs memory for each. */
export class ItemCount {
  private count = 0;

  /** @param items how many there may be; one more for each KiB of the stream */
  constructor(
    private readonly reader: QemuFileReader,
    private readonly start: number,
    private readonly items: number,
  ) {}

  /** One more, which begins at `offset`. Errors: limit. */
  add(offset: number): void {
    const most = this.items + Math.floor((offset - this.start) / 1024);
    if (++this.count <= most) return;
    throw this.reader.error("limit", "too many sections, parts of sections and commands (items)", {
      offset,
      expected: `at most ${most} up to here`,
    });
  }
}
