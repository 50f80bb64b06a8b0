/** Containers around a stream, detected by content. Each presents the bare stream as a source. */
export { openInput, type OpenOptions, type StreamInput } from "./input.js";
export { openContainers } from "./open.js";
export { type Container, type Input, type InputOptions, type SnapshotSummary } from "./types.js";
export {
  decodeLibvirtData,
  decodeLibvirtHeader,
  encodeLibvirtData,
  encodeLibvirtHeader,
  type LibvirtData,
  type LibvirtHeader,
} from "./libvirt/header.js";
export { openRecording } from "./recording.js";
export { libvirtImage, type KeptImage, type LibvirtImage } from "./libvirt/write.js";
export { decodeQcow2Header, encodeQcow2Header } from "./qcow2/header.js";
export { encodeSnapshot, readSnapshots, vmStateSize } from "./qcow2/snapshots.js";
