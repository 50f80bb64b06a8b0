import { count, fileSize, safe } from "../../bytes/text.js";
import type { ChannelSummary } from "../inspect/channel.js";
import type { RecordingInspection } from "../inspect/recording.js";
import { inspectLines } from "./inspect.js";
import { table } from "./lines.js";

/** The text of `inspect` for a recording: the stream, then each channel. */
export function recordingLines(folder: string, inspection: RecordingInspection): string[] {
  return [...inspectLines(folder, inspection), "", ...channelLines(inspection.channels)];
}

function channelLines(channels: readonly ChannelSummary[]): string[] {
  const rows = channels.map(({ file, role, channelLength: bytes, packets, syncs, method, normal, zero }) => {
    const counts = [packets, syncs, normal, zero].map(count);
    return [safe(file), role, fileSize(bytes), method ?? "-", ...counts];
  });
  const head = ["channel", "role", "bytes", "method", "packets", "syncs", "pages", "zero"];
  const said = channels.flatMap(({ file, messageCounts }) => {
    const counts = Object.entries(messageCounts).map(([name, n]) => `${count(n)} ${name}`);
    return counts.length === 0 ? [] : [`${safe(file)}: ${counts.join(", ")}`];
  });
  return rows.length === 0 ? [] : [...table([head, ...rows], [0, 1]), ...said];
}
