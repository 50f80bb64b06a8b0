import type { PrivateCodec, Walk } from "./walk.js";

/**
 * What kinds of virtio device add to the common state, told apart by their PCI device number (0x1000 to 0x103f for
 * transitional devices, 0x1040 + kind for modern ones). Kinds without an entry are kept as bytes.
 *
 * Source: QEMU hw/net/virtio-net.c, hw/block/virtio-blk.c, hw/char/virtio-serial-bus.c, hw/virtio/virtio-balloon.c
 * (5.2 to 10.1).
 */
export function virtioDevice(deviceId: number): PrivateCodec | undefined {
  switch (deviceId) {
    case 0x1000:
    case 0x1041:
      return net;
    case 0x1001:
    case 0x1042:
      return blk;
    case 0x1002:
    case 0x1045:
      return balloon;
    case 0x1003:
    case 0x1043:
      return console;
    default:
      return undefined;
  }
}

/**
 * Network. What follows `has_ufo` depends on features that were offered: (be16 max_queue_pairs, be16
 * curr_queue_pairs, be32 tx_waiting of all pairs but the first), (be64 curr_guest_offloads), (subsection rss).
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

/** Block: requests in flight, and a zero byte; only the empty list is decoded. */
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
  const most = walk.u32("max_nr_ports");
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
