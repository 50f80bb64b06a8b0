import type { PrivateCodec, Walk } from "./walk.js";

/**
 * Handlers older than vmsds: the description calls their whole payload one buffer named `data`. The ones below are
 * recognised by section name; all others stay bytes.
 *
 * | section      | payload                                                                                    |
 * |--------------|--------------------------------------------------------------------------------------------|
 * | `slirp`      | u8 0 (no guest forwarding socket), be16 ip_id, 16 x { be16 allocated, MAC }                |
 * | `todclock`   | u8 1 (present), u8 high, be64 low                                                          |
 * | `s390-skeys` | { be64 address + 2, be64 n, n keys } ..., be64 1                                           |
 *
 * Source: libslirp src/state.c (version 4), QEMU hw/s390x/tod.c, hw/s390x/s390-skeys.c (5.2 to 11.x).
 */
const HANDLERS = new Map<string, PrivateCodec>([
  ["slirp", slirp],
  ["todclock", todclock],
  ["s390-skeys", storageKeys],
]);

export function oldStyleCodec(device: string): PrivateCodec | undefined {
  return HANDLERS.get(device);
}

function slirp(walk: Walk): void {
  walk.constant([0]);
  walk.u16("ip_id");
  walk.array("bootp_clients", 16, () => {
    walk.u16("allocated");
    walk.bytes("macaddr", 6);
  });
}

function todclock(walk: Walk): void {
  walk.constant([1]);
  walk.u8("high");
  walk.u64("low");
}

const KEYS = 2;

function storageKeys(walk: Walk): void {
  walk.repeat(
    "ranges",
    (rest) => (rest[7]! & KEYS) !== 0,
    () => {
      walk.u64("address_and_flags");
      const count = walk.u64("count");
      if (count > 0xffffffffn) walk.unknown("more storage keys than there are pages");
      walk.bytes("keys", Number(count));
    },
  );
  walk.constant([0, 0, 0, 0, 0, 0, 0, 1]);
}
