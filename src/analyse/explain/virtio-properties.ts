/**
 * Properties of virtio PCI devices as a stream shows them. Source: virtio 1.2 (ids, capabilities, queues); QEMU
 * hw/virtio, hw/net, hw/block (5.2 to 11.1).
 */
import { isZero } from "../../bytes/zero.js";
import type { DeviceState, FieldValue } from "../../codec/vmstate/index.js";
import type { DeviceKind } from "./device-table.js";
import {
  EXTENDED,
  extendedCapability,
  littleEndian,
  msixVectors,
  vendorCapabilities,
  type PciIdentity,
} from "./pci.js";
import {
  findRecord,
  findStructField,
  guestFeatures,
  queueLengths,
  unusual,
  type Property,
  type Surroundings,
} from "./state-fields.js";

/** Entries of a virtqueue where no property says another number. */
const USUAL_QUEUE = 256;

/**
 * Entries of every queue of a device without a driver in QEMU 10.0: what a queue can have at most, whatever its size.
 */
const UNSET_QUEUE = 1024;

/** Vectors that follow from the number of queues, so that they are always named. */
const VECTORED = new Set(["virtio-net", "virtio-blk", "virtio-scsi", "virtio-console"]);

/** Vectors of the others where no property says another number. */
const USUAL_VECTORS: Readonly<Record<string, number>> = {
  "virtio-gpu": 3,
  "virtio-input": 2,
  "virtio-9p": 2,
  "virtio-crypto": 2,
  "virtio-sound": 2,
};

/** Devices of virtio 1 alone: no property makes them anything else. */
const MODERN = new Set(
  "virtio-gpu virtio-input virtio-iommu virtio-mem virtio-pmem virtio-sound virtio-crypto virtio-rtc".split(" "),
);

export function virtioProperties(
  kind: DeviceKind,
  state: DeviceState,
  identity: PciIdentity,
  surroundings: Surroundings,
): Property[] {
  const { name } = kind;
  const vectors = msixVectors(identity);
  const usual = USUAL_VECTORS[name];
  const features = guestFeatures(state) ?? 0n;
  const has = (bit: bigint): boolean => ((features >> bit) & 1n) === 1n;
  return [
    ["vectors", VECTORED.has(name) || (usual !== undefined && usual !== vectors) ? vectors : undefined],
    ...(kind.device.endsWith("-transitional") ? [] : transport(name, identity, surroundings)),
    ["iommu_platform", has(33n) ? "on" : undefined],
    ["packed", has(34n) ? "on" : undefined],
    ["ats", extendedCapability(identity, EXTENDED.ats) === undefined ? undefined : "on"],
    ["aer", extendedCapability(identity, EXTENDED.aer) === undefined ? undefined : "on"],
    ...outputProperties(kind, state),
    ...queueProperties(kind, state),
    ...networkProperties(kind, state, has(3n)),
    ...memoryProperties(kind, surroundings.early ?? state),
  ];
}

/** Properties of a virtio device on any bus that its state must fit in, `name=value`. */
export function busProperties(kind: DeviceKind, state: DeviceState | undefined): string[] {
  if (state === undefined) return [];
  const found = [...outputProperties(kind, state), ...queueProperties(kind, state)];
  return found.flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${value}`]));
}

function outputProperties({ name }: DeviceKind, state: DeviceState): Property[] {
  if (name !== "virtio-gpu") return [];
  return [["max_outputs", unusual(findRecord(state, "max_outputs") ?? outputs(state), 1)]];
}

/**
 * The number of outputs in a state of bytes: after the end of no resources (be32 0) and be32 enable. Source: QEMU
 * hw/display/virtio-gpu.c (11.1).
 */
function outputs({ fields }: DeviceState): number | undefined {
  const bytes = fields["virtio-gpu"];
  if (!(bytes instanceof Uint8Array) || bytes.length < 12 || !isZero(bytes, 0, 4)) return undefined;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(8);
}

/**
 * Legacy and modern interface, and the places of the notifications. Machine types up to 2.6 have legacy devices only.
 */
function transport(name: string, identity: PciIdentity, { behindPort, release }: Surroundings): Property[] {
  const vendor = vendorCapabilities(identity);
  const modern = vendor.some((bytes) => bytes[3] === 1);
  const notify = vendor.filter((bytes) => bytes[3] === 2);
  const legacy = Number.parseInt(identity.id.slice(5), 16) < 0x1040;
  const old = release !== undefined && release <= 206;
  const usual = old ? true : !behindPort;
  return [
    ["disable-legacy", MODERN.has(name) || legacy === usual ? undefined : legacy ? "off" : "on"],
    ["disable-modern", MODERN.has(name) || modern === !old ? undefined : modern ? "off" : "on"],
    ["page-per-vq", notify.some((bytes) => littleEndian(bytes, 16, 4) === 4096) ? "on" : undefined],
    ["modern-pio-notify", notify.length > 1 ? "on" : undefined],
  ];
}

function queueProperties({ name }: DeviceKind, state: DeviceState): Property[] {
  const all = queueLengths(state);
  // A size that every queue has, the control queue too, is none that was asked for.
  const lengths = isUnset(state) ? [] : all;
  const [first, second] = lengths;
  switch (name) {
    case "virtio-blk":
      return [
        ["num-queues", all.length === 0 ? undefined : all.length],
        ["queue-size", unusual(first, USUAL_QUEUE)],
      ];
    // Two queues of virtio-scsi are for control and events.
    case "virtio-scsi":
      return [
        ["num_queues", all.length < 3 ? undefined : all.length - 2],
        ["virtqueue_size", unusual(lengths[2], USUAL_QUEUE)],
      ];
    // Two queues for each port, and as many for control.
    case "virtio-console":
      return [["max_ports", unusual(all.length / 2 - 1, 31)]];
    // Three queues, a fourth of 128 entries for hints, one of 32 for reports (QEMU hw/virtio/virtio-balloon.c, 5.1 to
    // 11.1).
    case "virtio-balloon":
      return [
        ["free-page-hint", all[3] === 128 || all.length > 4 ? "on" : undefined],
        [
          "free-page-reporting",
          all.at(-1) === 32 || all.length > 4 || (all.length === 4 && all[3] !== 128) ? "on" : undefined,
        ],
      ];
    case "virtio-net":
      return [
        ["rx_queue_size", unusual(first, USUAL_QUEUE)],
        ["tx_queue_size", unusual(second, USUAL_QUEUE)],
      ];
    default:
      return [];
  }
}

/**
 * Whether every queue has 1024 entries, the control queue of virtio-net too, whose size cannot be set: QEMU 10.0 saves
 * so what a driver has not set, and later ones take no more than the queue's own size.
 */
export function isUnset(state: DeviceState): boolean {
  const all = queueLengths(state);
  return all.length > 0 && all.every((length) => length === UNSET_QUEUE);
}

/**
 * Devices whose queues no property makes longer, and of which none has 1024 entries. Source: QEMU hw/virtio, hw/char,
 * hw/display, hw/input (5.2 to 11.1).
 */
const SHORT_QUEUES = new Set(
  "virtio-balloon virtio-rng virtio-console virtio-gpu virtio-input virtio-iommu virtio-mem".split(" "),
);

/**
 * Whether queues say 1024 entries of a device that cannot have as many: virtio-net with its control queue is one, where
 * the number of queues is odd.
 */
export function hasTooLongQueues(name: string, state: DeviceState): boolean {
  const short = SHORT_QUEUES.has(name) || (name === "virtio-net" && queueLengths(state).length % 2 === 1);
  return short && isUnset(state);
}

/** The configuration of virtio-net is there once the guest has read it: queue pairs at 8, MTU at 10. */
function networkProperties({ name }: DeviceKind, state: DeviceState, mtu: boolean): Property[] {
  if (name !== "virtio-net") return [];
  const config = findRecord(state, "config");
  const bytes = config instanceof Uint8Array ? config : undefined;
  const pairs = littleEndian(bytes, 8, 2) ?? 0;
  const size = littleEndian(bytes, 10, 2) ?? 0;
  return [
    ["mq", pairs > 1 ? "on" : undefined],
    ["host_mtu", size > 0 ? size : mtu ? 1500 : undefined],
  ];
}

/**
 * Where virtio-mem is, and how it is divided, which must be equal. Source: QEMU hw/virtio/virtio-mem.c
 * "sanity-checks", in the device's state up to 7.2, in its early section from 8.0 on.
 */
function memoryProperties({ name }: DeviceKind, state: DeviceState): Property[] {
  if (name !== "virtio-mem") return [];
  const field = (key: string): FieldValue | undefined => findRecord(state, key) ?? findStructField(state, key);
  const value = (key: string): string | undefined => {
    const found = field(key);
    return typeof found === "bigint" || typeof found === "number" ? `0x${found.toString(16)}` : undefined;
  };
  return [
    ["memaddr", value("addr")],
    ["block-size", value("block_size")],
    ["node", unusual(field("node"), 0)],
  ];
}
