import type { PrivateCodec, Walk } from "./walk.js";

/**
 * The device part of virtio devices, by vmsd name. Kinds without an entry are kept as bytes.
 *
 * Source: QEMU hw/net/virtio-net.c, hw/block/virtio-blk.c, hw/char/virtio-serial-bus.c, hw/virtio/virtio-balloon.c,
 * hw/virtio/virtio-mem.c, hw/virtio/virtio-iommu.c, hw/display/virtio-gpu.c (5.2 to 11.x).
 */
const DEVICES = new Map<string, PrivateCodec>([
  ["virtio-net", net],
  ["virtio-blk", blk],
  ["virtio-balloon", balloon],
  ["virtio-console", console],
  ["virtio-mem", mem],
  ["virtio-iommu", iommu],
]);

export function virtioDevice(vmsdName: string | undefined): PrivateCodec | undefined {
  return vmsdName === undefined ? undefined : DEVICES.get(vmsdName);
}

/**
 * Network. The fields after `has_ufo` depend on the offered features: (be16 max_queue_pairs, be16 curr_queue_pairs,
 * be32 tx_waiting of all pairs but the first), (be64 curr_guest_offloads), (subsection rss).
 */
function net(walk: Walk): void {
  walk.bytes("mac", 6);
  walk.u32("tx_waiting");
  walk.u32("mergeable_rx_bufs");
  walk.u16("status");
  walk.u8("promisc");
  walk.u8("allmulti");
  walk.bytes("mac_table.macs", 6 * walk.u32("mac_table.in_use"));
  walk.bytes("vlans", 512);
  walk.u32("has_vnet_hdr");
  for (const flag of ["mac_table.multi_overflow", "mac_table.uni_overflow"]) walk.u8(flag);
  for (const flag of ["alluni", "nomulti", "nouni", "nobcast", "has_ufo"]) walk.u8(flag);
  walk.until("offered", (rest) => rest.length);
}

/** Block: pending requests, and a zero byte. Only the empty list is decoded. */
function blk(walk: Walk): void {
  walk.repeat(
    "requests",
    (rest) => rest[0] !== 0,
    () => walk.unknown("a block request in flight"),
  );
  walk.constant([0]);
}

function balloon(walk: Walk): void {
  walk.u32("num_pages");
  walk.u32("actual");
  walk.repeat(
    "subsections",
    (rest) => rest.length > 0,
    () => {
      walk.constant([5]);
      const name = walk.string8("name");
      walk.u32("version");
      if (name === "virtio-balloon-device/free-page-report") {
        walk.u32("free_page_hint_cmd_id");
        walk.u32("free_page_hint_status");
      } else if (name === "virtio-balloon-device/page-poison") {
        walk.u32("poison_val");
      } else {
        walk.unknown("another balloon subsection");
      }
    },
  );
}

/** Console and serial ports. A port with half-read data is not decoded. */
function console(walk: Walk): void {
  walk.u16("cols");
  walk.u16("rows");
  const most = hostOrder(walk.u32("max_nr_ports"));
  walk.array("ports_map", Math.ceil(most / 32), () => {
    walk.u32("bits");
  });
  walk.array("ports", walk.u32("nr_active_ports"), () => {
    walk.u32("id");
    walk.u8("guest_connected");
    walk.u8("host_connected");
    if (walk.u32("elem_popped") !== 0) walk.unknown("a port with half-read data");
  });
}

/** Hot-plugged memory. Since machine types 8.0 most of it is in a separate section before RAM. */
function mem(walk: Walk): void {
  const late = walk.optional(
    "sanity-checks",
    (rest) => rest.length > 16,
    () => {
      walk.u64("addr");
      walk.u64("region_size");
      walk.u64("block_size");
      walk.u32("node");
    },
  );
  walk.u64("usable_region_size");
  if (late) walk.u64("size");
  walk.u64("requested_size");
  if (!late) return;
  walk.repeat(
    "bitmap",
    (rest) => rest.length > 0,
    () => walk.u64("word"),
  );
}

/** IOMMU, version 2: a tree of domains, each with a tree of mappings and a list of endpoints. */
function iommu(walk: Walk): void {
  walk.u32("domain_count");
  list(walk, "domains", () => {
    walk.u64("key");
    walk.u32("id");
    walk.u32("mapping_count");
    list(walk, "mappings", () => {
      walk.u64("low");
      walk.u64("high");
      walk.u64("phys_addr");
      walk.u32("flags");
    });
    list(walk, "endpoint_list", () => walk.u32("id"));
    walk.u8("bypass");
  });
  walk.u8("config.bypass");
}

/** { 1, element } ... 0 */
function list(walk: Walk, name: string, element: () => void): void {
  walk.repeat(
    name,
    (rest) => rest[0] === 1,
    () => {
      walk.constant([1]);
      element();
    },
  );
  walk.constant([0]);
}

/**
 * The field `virtio-gpu`: resources (decoded only if there are none), a zero word, then the scanouts. From 8.1 on each
 * scanout may have six more words. With several scanouts, uninitialised memory of the source decides which of them have
 * the words, so mixtures stay bytes.
 */
export function virtioGpu(walk: Walk, size: number): void {
  walk.constant([0, 0, 0, 0]);
  walk.i32("enable");
  const count = walk.u32("max_outputs");
  const long = size === 12 + 64 * count;
  walk.array("scanout", count, () => {
    for (const name of ["resource_id", "width", "height"]) walk.u32(name);
    for (const name of ["x", "y"]) walk.i32(name);
    for (const name of ["resource_id", "hot_x", "hot_y", "pos.x", "pos.y"]) walk.u32(`cursor.${name}`);
    if (!long) return;
    for (const name of ["format", "bytes_pp", "width", "height", "stride", "offset"]) walk.u32(`fb.${name}`);
  });
}

/** This value is in host byte order, so it may be swapped. There are at most 511 ports. */
function hostOrder(value: number): number {
  if (value <= 0xffff) return value;
  return ((value >>> 24) | ((value >>> 8) & 0xff00) | ((value & 0xff00) << 8) | ((value & 0xff) << 24)) >>> 0;
}
