import type { Walk } from "./walk.js";

/**
 * The transport of a virtio device on s390's channel subsystem: the subchannel, three indicators, the vector of
 * configuration changes, the adapter's routes. Up to machine type s390-ccw-virtio-2.9 neither the request block nor the
 * summary's offset are there.
 *
 * Source: QEMU hw/s390x/css.c, ccw-device.c, virtio-ccw.c (5.2 to 11.x).
 */
export function ccw(walk: Walk): void {
  walk.group("subchannel", () => {
    subchannel(walk);
    subsection(walk, "orb", ORB, () => {
      walk.u32("intparm");
      walk.u16("ctrl0");
      walk.u8("lpm");
      walk.u8("ctrl1");
      walk.u32("cpa");
    });
  });
  for (const name of ["indicators", "indicators2", "summary_indicator"]) {
    walk.group(name, () => {
      walk.i32("len");
      walk.u64("addr");
    });
  }
  walk.u16("config_vector");
  walk.u64("ind_offset");
  subsection(walk, "adapter", ADAPTER, () => {
    walk.u32("summary_offset");
  });
  walk.u8("thinint_isc");
  walk.i32("revision");
}

/** Whether virtio's css, 0xfe, and a subchannel set (0 to 3) come first. On MMIO these are the bytes of a 0 or 1. */
export function startsAsCcw(rest: Uint8Array): boolean {
  return rest[0] === 0xfe && rest[1]! < 4 && rest.length > HEAD;
}

/** Bytes of the shortest form. */
const HEAD = 417;
const ORB = subsectionHead("s390_subch_dev/orb");
const ADAPTER = subsectionHead("s390_adapter_info/summary_offset");
/** Commands that the sense id can name. */
const CIWS = 62;

function subchannel(walk: Walk): void {
  walk.u8("cssid");
  walk.u8("ssid");
  walk.u16("schid");
  walk.u16("devno");
  walk.u8("thinint_active");
  walk.group("pmcw", () => {
    walk.u32("intparm");
    walk.u16("flags");
    walk.u16("devno");
    for (const name of ["lpm", "pnom", "lpum", "pim"]) walk.u8(name);
    walk.u16("mbi");
    for (const name of ["pom", "pam"]) walk.u8(name);
    walk.bytes("chpid", 8);
    walk.u32("chars");
  });
  walk.group("scsw", () => {
    walk.u16("flags");
    walk.u16("ctrl");
    walk.u32("cpa");
    walk.u8("dstat");
    walk.u8("cstat");
    walk.u16("count");
  });
  walk.u64("mba");
  walk.bytes("mda", 4);
  walk.bytes("sense_data", 32);
  walk.u64("channel_prog");
  walk.group("last_cmd", () => {
    walk.u8("cmd_code");
    walk.u8("flags");
    walk.u16("count");
    walk.u32("cda");
  });
  walk.u8("last_cmd_valid");
  walk.group("id", () => {
    walk.u8("reserved");
    walk.u16("cu_type");
    walk.u8("cu_model");
    walk.u16("dev_type");
    walk.u8("dev_model");
    walk.u8("unused");
    walk.table("ciw", CIWS, 4, () => {
      walk.u8("type");
      walk.u8("command");
      walk.u16("count");
    });
  });
  walk.u8("ccw_fmt_1");
  walk.u8("ccw_no_data_cnt");
}

/** A subsection of version 1 that may be there. */
function subsection(walk: Walk, name: string, head: readonly number[], body: () => void): void {
  walk.optional(
    name,
    (rest) => head.every((byte, at) => rest[at] === byte),
    () => {
      walk.constant(head);
      body();
    },
  );
}

function subsectionHead(name: string): number[] {
  return [5, name.length, ...new TextEncoder().encode(name), 0, 0, 0, 1];
}
