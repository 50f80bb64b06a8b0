/** Recordings of migrations with more than one connection: identifies the channels and merges their pages. */
export { announced, isPostcopy, type Announced } from "./announced.js";
export { MultifdEpochs, type PagesItem } from "./epochs.js";
export { gatherRecording, type GatheredRecording } from "./gather.js";
export { Handover } from "./handover.js";
export { mergedSource, mergeRecording, type MergeOptions, type MergeReport } from "./merge.js";
export { allNumbered, idle, PacketNumbers } from "./packet-numbers.js";
export { pacedRecording } from "./paced.js";
export { preemptRecords } from "./preempt.js";
export { type RecordedChannel, type Recording } from "./recording.js";
export { readTimeline, TIMELINE, TimelineWriter, type Arrival } from "./timeline.js";
export { roleOf, ROLE_BYTES, type ChannelRole } from "../../codec/stream/index.js";
