import type { Walk } from "./walk.js";

/**
 * The pending requests of a SCSI device, and a zero byte. The contents of a request depend on the host adapter and the
 * command; only the empty list is decoded.
 *
 * Source: QEMU hw/scsi/scsi-bus.c (5.2 to 10.1), `vmstate_info_scsi_requests`.
 */
export function scsiRequests(walk: Walk): void {
  walk.repeat(
    "requests",
    (rest) => rest[0] !== 0,
    () => walk.unknown("a SCSI request in flight"),
  );
  walk.constant([0]);
}
