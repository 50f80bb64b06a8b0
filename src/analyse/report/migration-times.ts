import { QevmError } from "../../bytes/errors.js";
import type { ByteSource } from "../../bytes/source.js";
import { readTimeline, type Recording } from "../../io/recording/index.js";
import { StreamReader, type StreamOptions } from "../../codec/stream/index.js";
import { walkStream } from "../../codec/stream/visit.js";
import type { RoundWatch } from "./round-watch.js";

/** How a recorded migration went in time. Times are seconds from its first byte. */
export interface MigrationTimes {
  /** From the first byte to the last that the source sent. */
  seconds: number;
  /** Bytes that the source sent. */
  bytes: number;
  /** Bytes in intervals of equal length, and that length in seconds. */
  buckets: number[];
  width: number;
  rounds: { at: number; pages: number }[];
  /** When what was sent after the guest was stopped began to arrive; undefined: it did not, or not so that it shows. */
  stopped: number | undefined;
  /** When the destination's last message came; undefined: there is none. */
  answered: number | undefined;
  postcopy: boolean;
  pageSize: number;
  /** The timeline is damaged from here on. */
  damage: QevmError | undefined;
}

/** Intervals of the drawing at most. */
const MOST_BUCKETS = 120;
/** Seconds of the first intervals. */
const FINEST = 1 / 1024;

/**
 * Puts the rounds of a recording on its timeline. Rounds begin with the RAM section in which they were found, so times
 * have the precision of these (a source sends one for at most 50 ms). The main channel is read once more, and the
 * timeline. Errors: io.
 */
export async function migrationTimes(
  recording: Recording,
  timeline: ByteSource,
  watch: RoundWatch,
  options: StreamOptions,
): Promise<MigrationTimes> {
  const { offsets, pageSize } = await ramSections(recording, options);
  const marks = watch.rounds.map(({ section, pages }) => ({ offset: offsets[section], pages, at: 0 }));
  const stopAt = watch.end === undefined || watch.postcopy ? undefined : offsets[watch.end];
  const answers = new Set(recording.returnPath.map(({ name }) => name));
  const sent = new Set([recording.main, ...recording.multifd, ...recording.preempt].map(({ name }) => name));
  const found: MigrationTimes = {
    seconds: 0,
    bytes: 0,
    buckets: [],
    width: FINEST,
    rounds: [],
    stopped: undefined,
    answered: undefined,
    postcopy: watch.postcopy,
    pageSize,
    damage: undefined,
  };
  let mark = 0;
  try {
    for await (const { t, channel, offset, length } of readTimeline(timeline)) {
      if (answers.has(channel)) found.answered = t;
      if (!sent.has(channel)) continue;
      found.seconds = t;
      found.bytes += length;
      note(found, t, length);
      if (channel !== recording.main.name) continue;
      const holds = (at: number | undefined): boolean => at !== undefined && at < offset + length;
      for (; mark < marks.length && holds(marks[mark]!.offset); mark++) marks[mark]!.at = t;
      if (holds(stopAt)) found.stopped ??= t;
    }
  } catch (error) {
    if (!(error instanceof QevmError) || error.code === "io") throw error;
    found.damage = error;
  }
  found.rounds = marks.slice(0, mark).map(({ at, pages }) => ({ at, pages }));
  return found;
}

/** Where the RAM sections of the main channel begin, up to its damage. */
async function ramSections(
  { main }: Recording,
  options: StreamOptions,
): Promise<{ offsets: number[]; pageSize: number }> {
  const offsets: number[] = [];
  const source = main.open();
  const reader = new StreamReader(source, { ...options, lenient: true, unreached: "count" });
  try {
    const visitor = {
      item: (item: { kind: string; offset: number; content?: { kind: string } }): void => {
        if (item.kind === "section" && item.content?.kind === "ram") offsets.push(item.offset);
      },
    };
    await walkStream(reader, [visitor]);
  } catch (error) {
    if (!(error instanceof QevmError) || error.code === "io") throw error;
  } finally {
    await source.close?.();
  }
  return { offsets, pageSize: reader.ram.pageSize };
}

/** Adds bytes to their interval; where there would be too many, two become one. */
function note(found: MigrationTimes, t: number, length: number): void {
  while (t / found.width >= MOST_BUCKETS) {
    const { buckets } = found;
    found.buckets = Array.from(
      { length: Math.ceil(buckets.length / 2) },
      (_, k) => (buckets[2 * k] ?? 0) + (buckets[2 * k + 1] ?? 0),
    );
    found.width *= 2;
  }
  const k = Math.floor(t / found.width);
  found.buckets[k] = (found.buckets[k] ?? 0) + length;
}
