import { msixState, pciConfig, pciIrqState, shpc } from "./pci.js";
import { scsiRequests } from "./scsi.js";
import { virtio } from "./virtio.js";
import type { PrivateCodec } from "./walk.js";

export { encodeRecord, tryRecord, type Decoded } from "./stream-walk.js";
export { recordFromPlain } from "./plain-walk.js";
export type { PrivateCodec } from "./walk.js";

/** The device-private codecs that this library knows, by the type they have in the description. */
const CODECS = new Map<string, PrivateCodec>([
  ["pci config", pciConfig],
  ["pci irq state", pciIrqState],
  ["msix state", msixState],
  ["shpc", shpc],
  ["scsi-requests", scsiRequests],
  ["virtio", virtio],
]);

export function privateCodec(type: string): PrivateCodec | undefined {
  return CODECS.get(type);
}
