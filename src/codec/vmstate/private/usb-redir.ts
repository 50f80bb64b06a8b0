import type { Walk } from "./walk.js";

/*
 * A redirected USB device's queues. Source: QEMU hw/usb/redirect.c (5.2 to 11.x). The field `usb-redir-parser` is a
 * length and what libusbredirparser serialized, in its own format.
 */

/** Packets of an endpoint that wait for the guest: be32 count, each be32 length, be32 status, data. */
export function bufferQueue(walk: Walk): void {
  walk.array("bufpq", walk.u32("count"), () => {
    const length = walk.u32("len");
    walk.i32("status");
    walk.bytes("data", length);
  });
}

/** Ids of packets: be32 count, be64 each. */
export function packetIds(walk: Walk): void {
  walk.array("ids", walk.u32("count"), () => {
    walk.u64("id");
  });
}

/** be32 length, and as many bytes; without a connection nothing. */
export function parser(walk: Walk): void {
  walk.bytes("state", walk.u32("len"));
}
