/** Receiving a live migration: every channel of a QEMU source into a folder. */
export { receiveInto, type Received, type ReceiveOptions } from "./receive.js";
export { ChannelFile, ChannelHead, channelNames, Sequence } from "./channel-files.js";
export { LiveSource } from "./live-source.js";
export { KeptTail, StreamEnd } from "./stream-end.js";
