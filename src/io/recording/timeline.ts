import { QevmError } from "../../bytes/errors.js";
import { latin1 } from "../../bytes/reader.js";
import type { ByteSource } from "../../bytes/source.js";

/** The file of a recording with the times at which its bytes arrived. */
export const TIMELINE = "timeline.jsonl";

/** Bytes of one channel that arrived together (within a millisecond). */
export interface Arrival {
  /** Seconds from the first byte of the migration to the first of these. */
  t: number;
  /** File name of the channel. */
  channel: string;
  /** Where the bytes are in that file. */
  offset: number;
  length: number;
}

/** Milliseconds in which adjacent chunks of a channel are one arrival. */
const WINDOW = 1;
/** Bytes of a line at most. */
const LONGEST = 4096;
const READ = 1 << 16;

/** Joins chunks to arrivals, and gives them as lines in the order of their times. */
export class TimelineWriter {
  private readonly pending = new Map<string, Arrival>();
  private start: number | undefined;
  private window = 0;
  private text = "";

  /** @param began when the recording began; it is in the first line */
  constructor(began: Date) {
    this.text = `${JSON.stringify({ version: 1, began: began.toISOString() })}\n`;
  }

  /** @param now milliseconds of any clock that only goes forward */
  add(channel: string, offset: number, length: number, now: number): void {
    this.start ??= now;
    if (now - this.window > WINDOW) this.put();
    const last = this.pending.get(channel);
    if (last !== undefined) last.length += length;
    else {
      if (this.pending.size === 0) this.window = now;
      const t = Math.round((now - this.start) * 1000) / 1e6;
      this.pending.set(channel, { t, channel, offset, length });
    }
  }

  /** Characters that `take` would return, but for the arrivals of this millisecond. */
  get size(): number {
    return this.text.length;
  }

  /** The lines since the last call. */
  take(): string {
    this.put();
    const { text } = this;
    this.text = "";
    return text;
  }

  private put(): void {
    for (const arrival of this.pending.values()) this.text += `${JSON.stringify(arrival)}\n`;
    this.pending.clear();
  }
}

/**
 * The arrivals of a timeline, in order. Memory holds a line. A last line that was cut off is left out, for a disk may
 * have been full. The source is closed at the end. Errors: bad-value, with the offset of the line.
 */
export async function* readTimeline(source: ByteSource): AsyncGenerator<Arrival> {
  const buffer = new Uint8Array(READ);
  let rest = "";
  let offset = 0;
  let before = 0;
  try {
    for (let n = await source.read(buffer); n > 0; n = await source.read(buffer)) {
      const lines = (rest + latin1(buffer.subarray(0, n))).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        const arrival = arrivalOf(line, offset);
        if (arrival !== undefined) {
          if (arrival.t < before) throw wrong("a time before that of the line before", offset, line);
          before = arrival.t;
          yield arrival;
        }
        offset += line.length + 1;
      }
      if (rest.length > LONGEST) throw wrong(`a line of more than ${LONGEST} bytes`, offset, rest);
    }
  } finally {
    await source.close?.();
  }
}

/** Undefined for the first line, which has the version. */
function arrivalOf(line: string, at: number): Arrival | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw wrong("a line that is not JSON", at, line);
  }
  const { version, t, channel, offset, length } = (value ?? {}) as Record<string, unknown>;
  if (at === 0 && version === 1) return undefined;
  if (typeof t !== "number" || t < 0 || !Number.isFinite(t) || typeof channel !== "string")
    throw wrong("a line without time and channel", at, line);
  if (!isSize(offset) || !isSize(length) || length === 0) throw wrong("a line without offset and length", at, line);
  return { t, channel, offset, length };
}

function isSize(one: unknown): one is number {
  return Number.isSafeInteger(one) && (one as number) >= 0;
}

function wrong(what: string, offset: number, line: string): QevmError {
  const found = JSON.stringify(line.slice(0, 80));
  const expected = '{"t":SECONDS,"channel":FILE,"offset":N,"length":N}';
  return new QevmError("bad-value", what, { offset, path: [TIMELINE], expected, found });
}
