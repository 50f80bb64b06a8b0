import type { ByteSource, Positioned } from "../../bytes/source.js";
import type { RamBlock } from "../../codec/ram/index.js";
import { StreamReader, type Continued, type StreamItem, type StreamOptions } from "../../codec/stream/index.js";
import { fieldAt, sourceFrom } from "./dump.js";
import type { DumpField, DumpUnit } from "./types.js";
import { unitsOf } from "./units.js";

/** Where decoding can begin: an item of the stream, and what is known before it. */
interface Checkpoint {
  offset: number;
  known: Continued;
  /** The RAM block that CONTINUE stands for. */
  current: RamBlock | undefined;
}

/** Bytes between the parts of sections of which checkpoints are kept. */
const APART = 1 << 20;

/** Places in a stream from which it can be decoded again, noted while it is read. */
export class Checkpoints {
  private readonly kept: Checkpoint[] = [];

  note(item: StreamItem, reader: StreamReader): void {
    if (item.kind !== "section") return;
    const begins = item.type === "start" || item.type === "full";
    const last = this.kept.at(-1);
    if (!begins && last !== undefined && item.offset - last.offset < APART) return;
    const { sections, ...known } = reader.known;
    // A section that begins here is not known before.
    const before = begins ? sections.filter(({ sectionId }) => sectionId !== item.sectionId) : sections;
    this.kept.push({ offset: item.offset, known: { ...known, sections: before }, current: reader.ram.current });
  }

  /** The last one at or before a byte; undefined: the stream's first byte. */
  before(at: number): Checkpoint | undefined {
    let [low, high] = [0, this.kept.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.kept[middle]!.offset <= at) low = middle + 1;
      else high = middle;
    }
    return this.kept[low - 1];
  }
}

/** A stretch of the stream in a window, with those of its fields that are in it. */
export interface WindowUnit extends Pick<DumpUnit, "part" | "unit" | "streamOffset" | "length" | "reason"> {
  fields: DumpField[];
}

/**
 * The stretches of a stream between two bytes, absolute offsets. Decoding begins at a checkpoint, and ends at damage.
 * Errors: those of the reader, where nothing of the window was decoded.
 */
export async function windowUnits(
  source: ByteSource & Positioned,
  checkpoint: Checkpoint | undefined,
  { from, to }: { from: number; to: number },
  options: StreamOptions = {},
): Promise<WindowUnit[]> {
  const origin = source.offset ?? 0;
  const start = checkpoint?.offset ?? origin;
  const bytes = sourceFrom(source, { origin, start, stop: Infinity });
  const reader = new StreamReader(bytes, { ...options, lenient: true, after: checkpoint?.known, unreached: "count" });
  reader.ram.current = checkpoint?.current;
  const found: WindowUnit[] = [];
  try {
    for await (const unit of unitsOf(reader, { from, section: undefined, passed: () => undefined })) {
      if (unit.streamOffset >= to) break;
      if (unit.streamOffset + unit.length > from) found.push(plain(unit, from, to));
    }
  } catch (error) {
    if (found.length === 0) throw error;
  }
  return found;
}

function plain(unit: DumpUnit, from: number, to: number): WindowUnit {
  const { part: item, unit: what, streamOffset: offset, length, reason: damage } = unit;
  const fields: DumpField[] = [];
  const end = Math.min(to, offset + length);
  for (let at = Math.max(from, offset); at < end;) {
    const field = fieldAt(unit, at);
    fields.push(field);
    at = Math.max(at + 1, field.streamOffset + field.length);
  }
  return { part: item, unit: what, streamOffset: offset, length, reason: damage, fields };
}
