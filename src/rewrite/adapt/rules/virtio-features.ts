/**
 * Features of virtio that a guest's driver took and the destination's device does not offer. QEMU refuses those
 * ("Features 0x... unsupported", hw/virtio/virtio.c `virtio_load`, 5.2 to 11.1). Names are QEMU's properties, which
 * offer them. Source: virtio 1.2 and 1.3 (sections 5 and 6); hw/net/virtio-net.c, hw/block/virtio-blk.c and others.
 */
import { isRecordValue, type FieldValue } from "../../../codec/vmstate/index.js";
import type { MergeContext } from "../context.js";
import type { Setting } from "../types.js";

type Fields = Record<string, FieldValue>;
/** Names of bits; those that begin with `!` change how driver and device talk, so that they cannot be taken away. */
type Names = Readonly<Record<number, string>>;

const COMMON: Names = {
  24: "notify_on_empty",
  27: "any_layout",
  28: "indirect_desc",
  29: "!event_idx",
  32: "!virtio-1",
  33: "!iommu_platform",
  34: "!packed",
  35: "!in_order",
  40: "queue_reset",
};

const BY_DEVICE: Readonly<Record<string, Names>> = {
  "virtio-net": {
    0: "csum",
    1: "guest_csum",
    2: "ctrl_guest_offloads",
    3: "host_mtu",
    5: "mac",
    6: "gso",
    7: "guest_tso4",
    8: "guest_tso6",
    9: "guest_ecn",
    10: "guest_ufo",
    11: "host_tso4",
    12: "host_tso6",
    13: "host_ecn",
    14: "host_ufo",
    15: "!mrg_rxbuf",
    16: "status",
    17: "!ctrl_vq",
    18: "ctrl_rx",
    19: "ctrl_vlan",
    20: "ctrl_rx_extra",
    21: "guest_announce",
    22: "!mq",
    23: "ctrl_mac_addr",
    54: "guest_uso4",
    55: "guest_uso6",
    56: "host_uso",
    57: "!hash",
    59: "guest_hdrlen",
    60: "!rss",
    61: "guest_rsc_ext",
    62: "failover",
    63: "speed",
    65: "guest_tunnel",
    66: "guest_tunnel_csum",
    67: "host_tunnel",
    68: "host_tunnel_csum",
  },
  "virtio-blk": {
    0: "barrier",
    1: "size_max",
    2: "seg-max",
    4: "geometry",
    5: "read-only",
    6: "blk_size",
    7: "scsi",
    9: "write-cache",
    10: "topology",
    11: "config-wce",
    12: "!num-queues",
    13: "discard",
    14: "write-zeroes",
    17: "zoned",
  },
  "virtio-scsi": { 0: "inout", 1: "hotplug", 2: "param_change", 3: "t10_pi" },
  "virtio-console": { 0: "size", 1: "!multiport", 2: "emergency-write" },
  "virtio-balloon": {
    0: "must-tell-host",
    1: "stats",
    2: "deflate-on-oom",
    3: "!free-page-hint",
    4: "page-poison",
    5: "!free-page-reporting",
  },
  "virtio-gpu": { 0: "virgl", 1: "edid", 2: "resource_uuid", 3: "blob", 4: "context_init" },
};

/** Network features that the backend has to have too. */
const OF_BACKEND = /^(?:guest_|host_|csum|mrg_rxbuf|mq|hash|rss)/u;
/** Set by drivers that answer with all bits; QEMU takes it as no feature (`VIRTIO_F_BAD_FEATURE`). */
const BAD_FEATURE = 1n << 30n;

/** The property that offers a feature. */
function offering(name: string): Setting {
  return name === "virtio-1" ? { property: "disable-modern", value: "off" } : { property: name, value: "on" };
}

/** Everything that a driver took, of the bits in a device's state. */
export function takenFeatures({ guest_features_lo: low, subsections }: Fields): bigint {
  let taken = BigInt(typeof low === "number" ? low : 0);
  for (const one of Array.isArray(subsections) ? subsections : []) {
    if (!isRecordValue(one) || one.record["name"] !== "virtio/64bit_features") continue;
    const { guest_features: all } = one.record;
    if (typeof all === "bigint") taken |= all;
  }
  return taken;
}

/** Notes what the destination does not offer, and takes it away. The section's name says which device it is. */
export function mergeFeatures(record: Fields, offered: bigint | undefined, ctx: MergeContext): Fields {
  if (offered === undefined) return record;
  const missing = takenFeatures(record) & ~offered & ~BAD_FEATURE;
  if (missing === 0n) return record;
  const device = /\/([\w-]+)"\/\d+$/u.exec(ctx.section)?.[1] ?? "";
  const names = { ...COMMON, ...BY_DEVICE[device] };
  for (let bit = 0n; missing >> bit !== 0n; bit++) {
    if (((missing >> bit) & 1n) === 0n) continue;
    const found = names[Number(bit)] ?? `bit-${bit}`;
    const name = found.replace(/^!/u, "");
    const backend = device === "virtio-net" && OF_BACKEND.test(name) ? ", and a backend that has it (tap, vhost)" : "";
    const bound = name === found ? "" : "; how it talks with the device depends on it";
    ctx.within(`guest_features > bit ${bit}`, () =>
      ctx.note(
        `feature:${name}`,
        bound === "" ? "guest" : "never",
        "taken",
        "not offered",
        `the guest's driver uses the feature ${name}, which the destination's device does not offer${bound}`,
        { ...offering(name), also: backend },
      ),
    );
  }
  return without(record, missing);
}

/** The state with fewer features, in each place that has them. */
function without(record: Fields, missing: bigint): Fields {
  const kept = ~missing;
  const low = (value: FieldValue | undefined, shift = 0n): FieldValue =>
    typeof value === "bigint" ? value & kept : Number(BigInt(Number(value ?? 0)) & (kept >> shift) & 0xffff_ffffn);
  const { subsections, guest_features_lo: first } = record;
  const changed = { ...record, guest_features_lo: low(first) };
  if (!Array.isArray(subsections)) return changed;
  return {
    ...changed,
    subsections: subsections.map((one): FieldValue => {
      if (!isRecordValue(one)) return one;
      const inside = { ...one.record };
      for (const [key, shift] of [
        ["guest_features", 0n],
        ["guest_features[0]", 0n],
        ["guest_features[1]", 32n],
      ] as const) {
        if (key in inside) inside[key] = low(inside[key], shift);
      }
      return { record: inside };
    }),
  };
}
