import { ccw, startsAsCcw } from "./ccw.js";
import { msixSize, msixState, msixVectors, pciConfig, pciIrqState } from "./pci.js";
import type { PrivateCodec, Walk } from "./walk.js";

/**
 * A virtio device: one field of type `virtio` in the description, written by hand-coded functions in QEMU.
 *
 * | part       | fields                                                                                              |
 * |------------|-----------------------------------------------------------------------------------------------------|
 * | transport  | PCI: be32 version 2, configuration space, interrupt pins, MSI-X state and be16 config vector if the |
 * |            | device has MSI-X; CCW (s390): ccw.ts; MMIO: three be32                                              |
 * | common     | u8 status, u8 isr, be16 queue_sel, be32 guest features (low), be32 n, n bytes of config              |
 * | queues     | be32 count; each be32 num, (MMIO: be32 align), be64 desc, be16 last_avail_idx, (MSI-X, CCW: be16    |
 * |            | vector)                                                                                             |
 * | device     | the device part; see virtio-devices.ts                                                              |
 * | subsections| `virtio/...`, each followed by those of the transport; tables always have 1024 entries              |
 *
 * Source: QEMU hw/virtio/virtio.c, virtio-pci.c, virtio-mmio.c, hw/s390x/virtio-ccw.c (5.2 to 11.x).
 */
export function virtio(walk: Walk, device: PrivateCodec | undefined): void {
  let vectors = 0;
  const isPci = walk.optional("pci", startsAsPci, () => {
    walk.i32("version_id");
    walk.group("config", () => {
      const config = pciConfig(walk, 256);
      if (config.capability(PCI_EXPRESS) !== undefined) walk.bytes("extended", 4096 - 256);
      vectors = msixVectors(config);
    });
    walk.group("irq_state", () => pciIrqState(walk));
    if (vectors > 0) {
      walk.group("msix", () => msixState(walk, msixSize(vectors)));
      walk.u16("config_vector");
    }
  });
  const isCcw = !isPci && walk.optional("ccw", startsAsCcw, () => ccw(walk));
  const isMmio = !isPci && !isCcw;
  if (isMmio) {
    walk.group("mmio", () => {
      walk.u32("host_features_sel");
      walk.u32("guest_features_sel");
      walk.u32("guest_page_shift");
    });
  }
  walk.u8("status");
  walk.u8("isr");
  walk.u16("queue_sel");
  walk.u32("guest_features_lo");
  walk.bytes("config", walk.u32("config_len"));
  walk.array("queues", walk.u32("queue_count"), () => {
    walk.u32("num");
    if (isMmio) walk.u32("align");
    walk.u64("desc");
    walk.u16("last_avail_idx");
    if (vectors > 0 || isCcw) walk.u16("vector");
  });
  walk.until("device", subsectionsFrom, device);
  walk.repeat("subsections", startsSubsection, () => subsection(walk));
}

const PCI_EXPRESS = 0x10;
const QUEUE_MAX = 1024;

/** Version 2, then vendor 0x1af4. */
function startsAsPci(rest: Uint8Array): boolean {
  return rest[0] === 0 && rest[1] === 0 && rest[2] === 0 && rest[3] === 2 && rest[4] === 0xf4 && rest[5] === 0x1a;
}

const PREFIX = [0x76, 0x69, 0x72, 0x74, 0x69, 0x6f, 0x2f];
const SLASH = 6;

/** `virtio/`, or `virtio_` of a transport. */
function startsSubsection(rest: Uint8Array): boolean {
  return (
    rest[0] === 5 && PREFIX.every((byte, i) => rest[2 + i] === (i === SLASH && rest[2 + i] === 0x5f ? 0x5f : byte))
  );
}

/** Start of the first subsection `virtio/...`, or the end. */
function subsectionsFrom(rest: Uint8Array): number {
  for (let at = rest.indexOf(5); at >= 0; at = rest.indexOf(5, at + 1)) {
    if (PREFIX.every((byte, i) => rest[at + 2 + i] === byte)) return at;
  }
  return rest.length;
}

function subsection(walk: Walk): void {
  walk.constant([5]);
  const name = walk.string8("name");
  if (walk.u32("version") !== 1) walk.unknown("another version of a virtio subsection");
  switch (name) {
    case "virtio/device_endian":
      walk.u8("device_endian");
      break;
    case "virtio/64bit_features":
      walk.u64("guest_features");
      break;
    case "virtio/virtqueues":
      walk.table("vq", QUEUE_MAX, 16, () => {
        walk.u64("avail");
        walk.u64("used");
      });
      break;
    case "virtio/ringsize":
      walk.table("vq", QUEUE_MAX, 4, () => {
        walk.u32("num_default");
      });
      break;
    case "virtio/packed_virtqueues":
      walk.table("vq", QUEUE_MAX, 10, () => {
        walk.u16("last_avail_idx");
        walk.u8("last_avail_wrap_counter");
        walk.u16("used_idx");
        walk.u8("used_wrap_counter");
        walk.u32("inuse");
      });
      break;
    case "virtio/broken":
    case "virtio/started":
    case "virtio/disabled":
      walk.u8("value");
      break;
    case "virtio/extra_state":
      // The transport's subsections follow as further entries of the list.
      break;
    case "virtio_pci/modern_state":
      walk.u32("dfselect");
      walk.u32("gfselect");
      pair(walk, "guest_features");
      walk.table("vqs", QUEUE_MAX, 28, () => {
        walk.u16("num");
        walk.u8("unused");
        ring(walk);
      });
      break;
    case "virtio_mmio/state":
      pair(walk, "guest_features");
      walk.table("vqs", QUEUE_MAX, 27, () => {
        walk.u16("num");
        ring(walk);
      });
      break;
    default:
      walk.unknown("another virtio subsection");
  }
}

function ring(walk: Walk): void {
  walk.u8("enabled");
  for (const name of ["desc", "avail", "used"]) pair(walk, name);
}

/** Two be32, the low half first. */
function pair(walk: Walk, name: string): void {
  walk.u32(`${name}[0]`);
  walk.u32(`${name}[1]`);
}
