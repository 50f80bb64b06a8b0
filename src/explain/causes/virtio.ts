/** Texts of virtio devices. Source: QEMU hw/virtio/virtio.c virtio_load (5.2 to 11.1). */
import { hex } from "../../errors.js";
import { damageNote, deviceNamed, type Answer, type Context, type Parts } from "../context.js";
import { deviceWords, remediesFor } from "./devices.js";

/** "Features 0xa unsupported. Allowed features: 0xb". */
export function virtioFeatures({ features = "0", allowed = "0" }: Parts, context: Context): Answer {
  const device = deviceNamed(context);
  const missing = BigInt(features) & ~BigInt(allowed);
  const bits = missing
    .toString(2)
    .split("")
    .toReversed()
    .flatMap((bit, i) => (bit === "1" ? [i] : []));
  return {
    about: {
      ...(device && { section: device.name, instance: device.instance, offset: device.offset }),
      field: "guest_features",
      value: hex(BigInt(features)),
      local: hex(BigInt(allowed)),
    },
    here: device === undefined ? [] : [deviceWords(device)],
    why: [
      `the guest's driver has accepted features that the destination's device does not offer: bit${bits.length === 1 ? "" : "s"} ${bits.join(", ")}${bits
        .map(featureName)
        .filter((one) => one !== "")
        .join(
          "",
        )}. They come from the device's properties and, of network devices, from the backend (vhost, tap offloads)`,
    ],
    remedies: remediesFor(device, context),
  };
}

/** Feature bits that all virtio devices share (virtio 1.2, section 6). */
function featureName(bit: number): string {
  const name = {
    24: "NOTIFY_ON_EMPTY",
    27: "ANY_LAYOUT",
    28: "INDIRECT_DESC",
    29: "EVENT_IDX",
    32: "VERSION_1",
    33: "ACCESS_PLATFORM",
    34: "RING_PACKED",
    40: "RING_RESET",
  }[bit];
  return name === undefined ? "" : ` (${bit}: ${name})`;
}

/** "VQ 0 size 0x100 Guest index 0x1 inconsistent with Host index 0x5: delta 0xfffc", "VQ 0 vring.num 1024 exceeds allocated max 256", ... */
export function virtqueue({ queue = "0", received, local }: Parts, context: Context): Answer {
  const device = deviceNamed(context);
  return {
    about: {
      ...(device && { section: device.name, instance: device.instance, offset: device.offset }),
      field: `vq[${queue}]`,
      ...(received === undefined ? {} : { value: Number(received) }),
      ...(local === undefined ? {} : { local: Number(local) }),
    },
    here: [...(device === undefined ? [] : [deviceWords(device)]), ...damageNote(context)],
    why: [
      received === undefined
        ? `the indices of virtqueue ${queue} in the device's state do not fit what the guest's memory has in that ring: state and memory are of different moments, or the memory was changed or not sent`
        : local === "0"
          ? `the file's device has a virtqueue ${queue} of ${received} entries, and the destination's has no such queue: fewer queues (num-queues, num_queues, queue pairs), or fewer CPUs, which the number of queues follows since 5.2`
          : `virtqueue ${queue} of the file has ${received} entries, and the destination's device at most ${local}: queue-size (or rx_queue_size, tx_queue_size) was larger at the source`,
    ],
    remedies: remediesFor(device, context),
  };
}
