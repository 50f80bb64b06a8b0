import { hex, QevmError, type Diagnostics } from "../../bytes/errors.js";
import type { ByteSource, Positioned } from "../../bytes/source.js";
import { StreamReader, type Continued, type StreamOptions } from "../../codec/stream/index.js";
import { resumeAt } from "./resume.js";
import type { DumpField, DumpUnit } from "./types.js";
import { undecoded, unitsOf } from "./units.js";

/** How a stream is dumped. */
export interface DumpOptions extends StreamOptions {
  /** RAM records that end at or before this byte are left out. */
  from?: number;
  /** Payloads of sections of this name only. */
  section?: string | undefined;
}

/** What is at a byte of a stream. */
interface ByteAnswer {
  at: number;
  unit: DumpUnit;
  field: DumpField;
}

/** A stream that can be read again. */
export interface DumpSource {
  source: ByteSource & Positioned;
  /** The first byte comes next. */
  rewind: () => void;
  /** Its length in bytes. Reads it to the end, where that makes `readAt` possible. */
  whole: () => Promise<number>;
}

/** Times that decoding goes on after damage. */
const MOST_DAMAGE = 64;

/**
 * All stretches of a stream in their order, damaged ones too: after damage decoding goes on at the next footer or section
 * header that fits, and what is between is one stretch with `damage`. Anomalies that lenient mode skips are skipped, and
 * are in `diagnostics`. A unit is valid until the next is asked for. Errors: io; bad-magic for what is not a stream.
 */
export async function* dumpUnits(
  input: DumpSource,
  diagnostics: Diagnostics,
  options: DumpOptions = {},
): AsyncGenerator<DumpUnit> {
  const { source } = input;
  const origin = source.offset ?? 0;
  const { from = 0, section, ...reading } = options;
  let after: Continued | undefined;
  let end = origin;
  const passed = (to: number): void => void (end = Math.max(end, to));
  input.rewind();
  for (let damaged = 0; ; damaged++) {
    const start = end;
    const known = after;
    const open = (stop?: number): StreamReader => {
      const whole = known === undefined && stop === undefined;
      const stream = whole ? source : sourceFrom(source, { origin, start, stop: stop ?? Infinity });
      return new StreamReader(stream, { ...reading, lenient: true, after: known, unreached: "count" });
    };
    const reader = open();
    let trouble: QevmError | undefined;
    try {
      for await (const unit of unitsOf(reader, { from, section, passed })) {
        yield unit;
        passed(unit.streamOffset + unit.length);
      }
    } catch (error) {
      if (!(error instanceof QevmError) || error.code === "io") throw error;
      if (error.code === "bad-magic" && end === origin) throw error;
      trouble = error;
    }
    diagnostics.absorb(reader.diagnostics);
    if (trouble === undefined && reader.complete) return;
    const size = origin + (await input.whole());
    // The records before a damaged one in the same batch: read again up to the damage.
    const broken = trouble?.offset;
    if (broken !== undefined && broken > end) {
      for await (const unit of unitsOf(open(broken), { from, section, passed })) {
        if (unit.streamOffset < end || unit.reason !== undefined) continue;
        yield unit;
        passed(unit.streamOffset + unit.length);
      }
    }
    const why = trouble === undefined ? "the stream ends inside of this" : `${trouble.what}${detail(trouble)}`;
    const search = { origin, size, known: reader.known, from: Math.max(end, broken ?? end) + 1 };
    const next = damaged < MOST_DAMAGE ? await resumeAt(source, search) : undefined;
    const stop = next ?? size;
    if (stop > end) yield undecoded({ item: trouble?.path.join(" > ") ?? "cut", offset: end, length: stop - end, why });
    if (next === undefined) return;
    // Whether there are footers is found anew: damage of the first one says no.
    after = { ...reader.known, footers: undefined };
    end = next;
  }
}

function detail({ offset, expected, found }: QevmError): string {
  const where = offset === undefined ? "" : ` at byte ${hex(offset)}`;
  return `${where}${expected === undefined ? "" : `, expected ${expected}`}${found === undefined ? "" : `, found ${found}`}`;
}

/** What contains a byte. Errors: usage for a byte outside of the stream; as `dumpUnits`. */
export async function dumpAt(
  input: DumpSource,
  at: number,
  diagnostics: Diagnostics,
  options: DumpOptions = {},
): Promise<ByteAnswer> {
  const origin = input.source.offset ?? 0;
  if (at < origin) throw new QevmError("usage", `byte ${hex(at)} is before the stream, which begins at ${hex(origin)}`);
  let end = origin;
  for await (const unit of dumpUnits(input, diagnostics, { ...options, from: at })) {
    const { streamOffset: offset, length } = unit;
    end = Math.max(end, offset + length);
    if (at < offset || at >= offset + length) continue;
    return { at, unit, field: fieldAt(unit, at) };
  }
  throw new QevmError("usage", `byte ${hex(at)} is after the end of the stream at ${hex(end)}`);
}

/** The field of a unit that contains a byte of it. */
export function fieldAt(unit: DumpUnit, at: number): DumpField {
  const contains = ({ streamOffset: offset, length }: DumpField): boolean => offset <= at && at < offset + length;
  const field = unit.fieldAt === undefined ? unit.fields().find(contains) : unit.fieldAt(at);
  return field ?? { field: "bytes", streamOffset: unit.streamOffset, length: unit.length };
}

/** The bytes from `start` to before `stop`, absolute offsets. */
export function sourceFrom(source: Positioned, place: { origin: number; start: number; stop: number }): ByteSource {
  const { origin, start, stop } = place;
  let position = start;
  const took = (n: number): number => {
    position += n;
    return n;
  };
  return {
    offset: start,
    read: (into) => {
      const room = Math.min(into.length, stop - position);
      if (room <= 0) return 0;
      const got = source.readAt(position - origin, into.subarray(0, room));
      return typeof got === "number" ? took(got) : got.then(took);
    },
  };
}
