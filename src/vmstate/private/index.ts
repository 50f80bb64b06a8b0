import { msixState, pciConfig, pciIrqState, shpc } from "./pci.js";
import { scsiRequests } from "./scsi.js";
import { virtioDevice, virtioGpu } from "./virtio-devices.js";
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
  ["virtio-gpu", virtioGpu],
]);

/**
 * The codec of a private field.
 * @param vmsdName of the struct that the field is in: says what kind of virtio device it is
 */
export function privateCodec(type: string, vmsdName: string | undefined): PrivateCodec | undefined {
  if (type !== "virtio") return CODECS.get(type);
  const device = virtioDevice(vmsdName);
  return (walk) => virtio(walk, device);
}
