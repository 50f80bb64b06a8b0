import { createHash } from "node:crypto";
import { MemorySink, QemuFileWriter } from "../../bytes/index.js";
import { encodeSectionRecord, type SectionRecord } from "../../codec/sections/index.js";
import type { Pair } from "./types.js";

/** Records whose places are remembered. */
const MOST = 1 << 20;
/** Hexadecimal digits of a record's hash that are kept. */
const DIGITS = 12;

/** What the records of one section are, in order, without what they hold; where its parts end does not count. */
export class RecordDigest {
  readonly counts: Record<string, number> = {};
  count = 0;
  private readonly all = createHash("sha256");
  private readonly hashes: string[] = [];
  private readonly offsets: number[] = [];
  private whole: string | undefined;

  add(record: SectionRecord): void {
    this.counts[record.kind] = (this.counts[record.kind] ?? 0) + 1;
    const sink = new MemorySink();
    const writer = new QemuFileWriter(sink);
    encodeSectionRecord(writer, record);
    void writer.flush();
    const hash = createHash("sha256").update(sink.bytes()).digest();
    this.all.update(hash);
    if (this.count++ >= MOST) return;
    this.hashes.push(hash.toString("hex", 0, DIGITS / 2));
    this.offsets.push(record.offset);
  }

  /** SHA-256 over the hashes of all records; no record follows. */
  get sha256(): string {
    return (this.whole ??= this.all.digest("hex"));
  }

  /** Where the first differing record is; null: unknown, or no record is left there. */
  static firstDifference(a: RecordDigest, b: RecordDigest): Pair<number | null> {
    let at = 0;
    while (at < MOST && a.hashes[at] !== undefined && a.hashes[at] === b.hashes[at]) at++;
    return { a: a.offsets[at] ?? null, b: b.offsets[at] ?? null };
  }

  /** `bits 3, header 1`. */
  toString(): string {
    return Object.entries(this.counts)
      .map(([kind, n]) => `${kind} ${n}`)
      .join(", ");
  }
}
