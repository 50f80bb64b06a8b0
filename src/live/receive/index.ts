/** Receives a live migration: writes every channel of a QEMU source into a folder. */
export { receiveInto, type Received, type ReceiveOptions } from "./receive.js";
export type { ChannelHead } from "./channel-files.js";
export { countSame, LOOK, STRANGERS } from "./checks.js";
export { Gate, type Caller } from "./gate.js";
export type { Refused } from "../../io/transport/connection.js";
export { leads, whyForeign } from "./foreign.js";
export { LiveSource } from "./live-source.js";
export { IDLE, PacketCount } from "./packet-count.js";
export { Recorder, type ChannelFact, type RecordingFacts } from "./recorder.js";
export { nextChunk, sourceFailed } from "./source-chunks.js";
export { KeptTail, StreamEnd } from "./stream-end.js";
