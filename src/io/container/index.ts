/** Containers around a stream, detected by content. Each presents the bare stream as a source. */
export { openInput, type OpenOptions, type StreamInput } from "./input.js";
export { openContainers } from "./open.js";
export { containerName, type Container, type Input, type InputOptions, type SnapshotSummary } from "./types.js";
export {
  decodeLibvirtData,
  decodeLibvirtHeader,
  encodeLibvirtData,
  encodeLibvirtHeader,
  FORMATS,
  type LibvirtData,
  type LibvirtHeader,
} from "./libvirt/header.js";
export { isFolder } from "./is-folder.js";
export { isPostcopy, openRecording, RECORDING_LIST } from "./recording.js";
export { libvirtImage, streamSink, type KeptImage, type LibvirtImage } from "./libvirt/write.js";
export { decodeQcow2Header, encodeQcow2Header, type Qcow2Header } from "./qcow2/header.js";
export { encodeSnapshot, readSnapshots, vmStateSize, type Qcow2Snapshot } from "./qcow2/snapshots.js";
export { readQcow2, type Qcow2Image } from "./qcow2/image.js";
