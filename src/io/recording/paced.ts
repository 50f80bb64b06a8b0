import type { ByteSource } from "../../bytes/source.js";
import type { RecordedChannel, Recording } from "./recording.js";
import { readTimeline, type Arrival } from "./timeline.js";

/** A clock in milliseconds, and a way to wait. */
interface Clock {
  now(): number;
  sleep(milliseconds: number): Promise<void>;
}

/** Longest wait of one timer, in milliseconds: `setTimeout` takes 31 bits. */
const LONGEST_WAIT = 1 << 30;

const CLOCK: Clock = {
  now: () => performance.now(),
  sleep: async (milliseconds) => {
    await new Promise<void>((resolve) => {
      setTimeout(resolve, Math.min(milliseconds, LONGEST_WAIT));
    });
  },
};

/**
 * The same recording, whose channels give each byte at the time at which it had arrived, counted from the first read of
 * any of them. Bytes that the timeline does not have are given at once. Errors of reading: as `readTimeline`.
 * @param timeline opens the recording's timeline at its first byte
 */
export function pacedRecording(recording: Recording, timeline: () => ByteSource, clock = CLOCK): Recording {
  let start: number | undefined;
  const until = async (t: number): Promise<void> => {
    start ??= clock.now();
    for (;;) {
      const wait = start + t * 1000 - clock.now();
      if (wait <= 0) return;
      await clock.sleep(wait);
    }
  };
  const paced = (channel: RecordedChannel): RecordedChannel => ({
    name: channel.name,
    length: channel.length,
    open: () => pacedSource(channel, arrivalsOf(channel.name, timeline), until),
  });
  const { main, multifd, preempt, returnPath, resumed = [] } = recording;
  return {
    main: paced(main),
    multifd: multifd.map(paced),
    preempt: preempt.map(paced),
    returnPath,
    resumed: resumed.map(paced),
  };
}

async function* arrivalsOf(name: string, timeline: () => ByteSource): AsyncGenerator<Arrival> {
  for await (const arrival of readTimeline(timeline())) if (arrival.channel === name) yield arrival;
}

function pacedSource(
  channel: RecordedChannel,
  arrivals: AsyncGenerator<Arrival>,
  until: (t: number) => Promise<void>,
): ByteSource {
  const source = channel.open();
  let position = 0;
  let next: Arrival | undefined;
  let over = false;
  /** How many bytes may be read now. */
  const allowed = async (): Promise<number> => {
    while (!over && (next === undefined || next.offset + next.length <= position)) {
      const { done, value } = await arrivals.next();
      over = done === true;
      next = over ? undefined : (value as Arrival);
    }
    if (next === undefined) return Number.MAX_SAFE_INTEGER;
    if (position < next.offset) return next.offset - position;
    await until(next.t);
    return next.offset + next.length - position;
  };
  return {
    length: source.length,
    within: source.within,
    read: async (into) => {
      const n = await source.read(into.subarray(0, Math.min(into.length, await allowed())));
      position += n;
      return n;
    },
    close: async () => {
      await arrivals.return(undefined);
      await source.close?.();
    },
  };
}
