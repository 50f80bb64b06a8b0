import { msixState, pciConfig, pciIrqState, shpc } from "./pci.js";
import { oldStyleCodec } from "./old-style.js";
import { byte, word } from "./registers.js";
import { scsiRequests } from "./scsi.js";
import { bufferQueue, packetIds, parser } from "./usb-redir.js";
import { virtioDevice, virtioGpu } from "./virtio-devices.js";
import { virtio } from "./virtio.js";
import type { PrivateCodec } from "./walk.js";

export { encodeRecord, recordLength, tryRecord } from "./stream-walk.js";
export { recordFromPlain } from "./plain-walk.js";

/** The supported device-private codecs, by their type in the description. */
const CODECS = new Map<string, PrivateCodec>([
  ["pci config", pciConfig],
  ["pci irq state", pciIrqState],
  ["msix state", msixState],
  ["shpc", shpc],
  ["scsi-requests", scsiRequests],
  ["virtio-gpu", virtioGpu],
  ["usb-redir-bufpq", bufferQueue],
  ["usb-redir-packet-id-q", packetIds],
  ["usb-redir-parser", parser],
  ["cpu/altivec/vscr", word],
  ...["sreg", "rampD", "rampX", "rampY", "rampZ", "eind"].map((name) => [name, byte] as const),
]);

/** The context of a private field. */
export interface Surroundings {
  /** vmsd name of the struct that contains the field: it tells the kind of a virtio device. */
  vmsdName: string | undefined;
  /** The section's name, in old-style handlers. */
  oldStyle: string | undefined;
}

/** The codec of a private field, if supported. */
export function privateCodec(type: string, where: Surroundings): PrivateCodec | undefined {
  if (type === "buffer" && where.oldStyle !== undefined) return oldStyleCodec(where.oldStyle);
  if (type !== "virtio") return CODECS.get(type);
  const device = virtioDevice(where.vmsdName);
  return (walk) => virtio(walk, device);
}
