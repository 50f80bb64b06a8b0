import { QevmError } from "../../bytes/errors.js";
import { decodeInitPacket, INIT_LENGTH } from "../../codec/multifd/index.js";
import type { RecordedChannel, Recording } from "./recording.js";
import { roleOf, type ChannelRole } from "../../codec/stream/index.js";

/** A possible channel, with the first `ROLE_BYTES` bytes of its file. */
interface FoundChannel extends RecordedChannel {
  readonly head: Uint8Array;
}

/** A recording, and the other files of its folder. */
export interface GatheredRecording extends Recording {
  readonly others: readonly string[];
}

/**
 * Identifies the channels among some files by their first bytes. Errors: bad-value where there is not exactly one main
 * channel, or a channel id occurs twice.
 */
export function gatherRecording(place: string, channels: readonly FoundChannel[]): GatheredRecording {
  const found: Record<ChannelRole, FoundChannel[]> = {
    main: [],
    multifd: [],
    preempt: [],
    "return-path": [],
    resumed: [],
  };
  const others: string[] = [];
  const ids = new Map<RecordedChannel, number>();
  for (const channel of channels) {
    const { name, head } = channel;
    const role = name.endsWith(".json") ? undefined : roleOf(head);
    if (role === undefined) {
      others.push(name);
      continue;
    }
    found[role].push(channel);
    if (role === "multifd" && head.length >= INIT_LENGTH) ids.set(channel, decodeInitPacket(head, 0, [name]).channel);
  }
  const [main, second] = found.main;
  if (main === undefined) {
    throw new QevmError("bad-value", `${place} is not a recording: no file starts with a stream header`);
  }
  if (second !== undefined) {
    throw new QevmError(
      "bad-value",
      `${place} is not a recording: ${main.name} and ${second.name} are both main channels`,
    );
  }
  const multifd = found.multifd.toSorted((a, b) => (ids.get(a) ?? 256) - (ids.get(b) ?? 256));
  multifd.forEach((channel, k) => {
    const before = multifd[k - 1];
    if (before === undefined || ids.get(before) !== ids.get(channel) || !ids.has(channel)) return;
    throw new QevmError(
      "bad-value",
      `${before.name} and ${channel.name} are both multifd channel ${ids.get(channel)}`,
      {
        offset: 24,
        path: [channel.name],
      },
    );
  });
  return { main, multifd, preempt: found.preempt, returnPath: found["return-path"], resumed: found.resumed, others };
}
