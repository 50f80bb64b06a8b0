/** Texts of virtio devices. Source: QEMU hw/virtio/virtio.c virtio_load (5.2 to 11.1). */
import { hex } from "../../../bytes/errors.js";
import { damageNote, deviceNamed, numberOf, ofDevice, type Answer, type Context, type Parts } from "../context.js";
import { guestFeatures, virtqueues } from "../state-fields.js";
import type { SurveyedDevice } from "../survey.js";
import type { Remedy } from "../types.js";
import { isUnset } from "../virtio-properties.js";
import { quoted } from "../words.js";
import { deviceWords, remediesFor } from "./devices.js";

/** "Features 0xa unsupported. Allowed features: 0xb". */
export function virtioFeatures({ features = "0", allowed = "0" }: Parts, context: Context): Answer {
  const device = deviceNamed(context);
  // 11.1 does not say all of them: the file does.
  const inFile = device?.state && guestFeatures(device.state);
  const offered = ~BigInt(allowed);
  const accepted = inFile !== undefined && (inFile & offered) !== 0n ? inFile : BigInt(features);
  const missing = accepted & offered;
  const net = deviceName(context).endsWith("virtio-net");
  const bits = missing
    .toString(2)
    .split("")
    .toReversed()
    .flatMap((bit, i) => (bit === "1" ? [i] : []));
  return {
    about: {
      ...ofDevice(device),
      field: "guest_features",
      value: hex(accepted),
      local: hex(BigInt(allowed)),
    },
    here: [
      device && deviceWords(device),
      ...(inFile === undefined || (inFile & offered) !== 0n
        ? []
        : [`this file has ${hex(inFile)} there, all of which that QEMU allows: the text is about another file`]),
    ],
    why: `the guest's driver has accepted features that the destination's device does not offer: bit${bits.length === 1 ? "" : "s"} ${bits.join(", ")}${bits
      .map((bit) => featureName(bit, net))
      .filter((one) => one !== "")
      .join(
        "",
      )}. They come from the device's properties and, of network devices, from the backend (vhost, tap offloads)`,
    remedies: remediesFor(device, context),
  };
}

/** The name of the device in the other texts, even if the file does not have it. */
function deviceName({ matches }: Context): string {
  return matches.map(({ parts }) => parts["device"]).find((name) => name !== undefined) ?? "";
}

/** Feature bits that all virtio devices share (virtio 1.2, section 6). */
function featureName(bit: number, net: boolean): string {
  const name =
    net && NET_FEATURES[bit] !== undefined
      ? NET_FEATURES[bit]
      : {
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

/** Feature bits of network devices (virtio 1.2 and 1.3, section 5.1.3), of those that a backend decides. */
const NET_FEATURES: Readonly<Record<number, string>> = {
  0: "CSUM",
  1: "GUEST_CSUM",
  7: "GUEST_TSO4",
  8: "GUEST_TSO6",
  10: "GUEST_UFO",
  14: "HOST_UFO",
  15: "MRG_RXBUF",
  22: "MQ",
  54: "GUEST_USO4",
  55: "GUEST_USO6",
  56: "HOST_USO",
  57: "HASH_REPORT",
  59: "GUEST_HDRLEN",
  60: "RSS",
  61: "RSC_EXT",
  62: "STANDBY",
  63: "SPEED_DUPLEX",
};

/**
 * The one device whose virtqueue of that number has this many entries and is at that index: the texts, up to 11.1, do
 * not name the device.
 */
function withQueue({ survey }: Context, queue: number, size: number, host: number): SurveyedDevice | undefined {
  const found = survey.devices.filter(({ state }) => {
    const one = state === undefined ? undefined : virtqueues(state)[queue];
    return one !== undefined && one["num"] === size && one["last_avail_idx"] === host;
  });
  return found.length === 1 ? found[0] : undefined;
}

/** The first device whose virtqueue of that number has this many entries, preferably one without a driver. */
function withLength({ survey }: Context, queue: number, length: number): SurveyedDevice | undefined {
  const found = survey.devices.filter(
    ({ state }) => state !== undefined && virtqueues(state)[queue]?.["num"] === length,
  );
  return found.find(({ state }) => isUnset(state!)) ?? found[0];
}

/**
 * "VQ 0 size 0x100 Guest index 0x1 inconsistent with Host index 0x5: delta 0xfffc", "VQ 0 vring.num 1024 exceeds
 * allocated max 256", ...
 */
export function virtqueue({ queue = "0", received, local, size, host }: Parts, context: Context): Answer {
  const device =
    deviceNamed(context) ??
    withQueue(context, Number(queue), Number(size), Number(host)) ??
    withLength(context, Number(queue), Number(received));
  const unset =
    received !== undefined && local !== "0" && device?.state !== undefined && isUnset(device.state)
      ? device
      : undefined;
  return {
    about: {
      ...ofDevice(device),
      field: `vq[${queue}]`,
      value: numberOf(received),
      local: numberOf(local),
    },
    here: [device && deviceWords(device), ...damageNote(context)],
    why:
      received === undefined
        ? `the indices of virtqueue ${queue} in the device's state do not fit what the guest's memory has in that ring: state and memory are of different moments, or the memory was changed or not sent`
        : unset !== undefined
          ? `every queue of the device says ${received} entries, its control queue too where it has one: QEMU 10.0 saves that number of a device that no driver has set up, whatever its queues' sizes (rx_queue_size and the like) are. Other releases take no more than the queue has`
          : local === "0"
            ? `the file's device has a virtqueue ${queue} of ${received} entries, and the destination's has no such queue: fewer queues (num-queues, num_queues, queue pairs), or fewer CPUs, which the number of queues follows since 5.2`
            : `virtqueue ${queue} of the file has ${received} entries, and the destination's device at most ${local}: queue-size (or rx_queue_size, tx_queue_size) was larger at the source`,
    remedies: unset !== undefined ? unsetRemedies(unset, context) : remediesFor(device, context),
  };
}

/**
 * Default queue sizes: 64 for the control queue of virtio-net, which is the last of an odd number of queues, else 256.
 */
function unsetRemedies({ name, state }: SurveyedDevice, { file }: Context): Remedy[] {
  const count = state === undefined ? 0 : virtqueues(state).length;
  const sizes = Array.from({ length: count }, (_, i) =>
    name.endsWith("/virtio-net") && i % 2 === 0 && i === count - 1 ? 64 : 256,
  );
  return [
    {
      what: `set num of each of its queues to what the destination's have (${sizes.join(", ")} where no property says another). Unpack the stream, and change the numbers under "queues" in the file of ${quoted(name)} in DIR/devices`,
      command: ["qevm", "unpack", file, "DIR"],
    },
    { what: "and pack it again, for the destination to load", command: ["qevm", "pack", "DIR", "--out", "NEW"] },
  ];
}
