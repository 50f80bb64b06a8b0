/**
 * What a virtio device is by its command line, and QEMU compares when it loads: a stream with another value is refused.
 * Source: QEMU hw/virtio/virtio.c `virtio_load`, hw/virtio/virtio-mem.c, hw/char/virtio-serial-bus.c,
 * hw/net/virtio-net.c, hw/display/virtio-gpu.c (5.2 to 11.1).
 */
import { isRecordValue, type FieldValue, type RecordValue } from "../../../codec/vmstate/index.js";
import { isZero, type MergeContext, type Remedy } from "../context.js";

type Fields = Record<string, FieldValue>;

interface Fixed {
  /** Path in the device's part. */
  readonly path: readonly string[];
  /** Whether the destination loads a guest of the first value with the second. Default: where they are equal. */
  readonly fits?: (old: number | bigint, now: number | bigint) => boolean;
  readonly remedy: (old: number | bigint) => string | Remedy;
}

/** A property with the old value. */
const set =
  (property: string) =>
  (old: number | bigint): Remedy => ({ property, value: String(old) });

const atMost = (old: number | bigint, now: number | bigint): boolean => old <= now;

const FIXED: Readonly<Record<string, readonly Fixed[]>> = {
  "virtio-mem": [
    { path: ["sanity-checks", "addr"], remedy: set("memaddr") },
    { path: ["sanity-checks", "region_size"], remedy: (old) => `a memory backend of ${old} bytes` },
    { path: ["sanity-checks", "block_size"], remedy: set("block-size") },
    { path: ["sanity-checks", "node"], remedy: set("node") },
  ],
  "virtio-console": [{ path: ["max_nr_ports"], remedy: (old) => set("max_ports")(swapped(Number(old))) }],
  "virtio-net": [
    { path: ["has_vnet_hdr"], fits: atMost, remedy: () => "a backend with vnet_hdr=on (tap)" },
    { path: ["has_ufo"], fits: atMost, remedy: () => "a backend with UFO (tap)" },
  ],
};

/** The number of ports is saved in the host's order. */
function swapped(value: number): number {
  return value < 0x1_0000 ? value : (value >>> 24) | ((value >>> 8) & 0xff00);
}

/** Notes what the destination's device has to be set to. */
export function checkFixed(device: string, old: FieldValue, pattern: FieldValue, ctx: MergeContext): void {
  for (const { path, fits, remedy } of FIXED[device] ?? []) {
    const [mine, theirs] = [numberAt(old, path), numberAt(pattern, path)];
    if (mine === undefined || theirs === undefined || (fits ?? Object.is)(mine, theirs)) continue;
    const reason = "QEMU compares this with what its own device has, and refuses another";
    ctx.within(`device > ${path.join(" > ")}`, () =>
      ctx.note("virtio-device", "never", mine, theirs, reason, remedy(mine)),
    );
  }
}

function numberAt(value: FieldValue | undefined, path: readonly string[]): number | bigint | undefined {
  for (const step of path) value = value !== undefined && isRecordValue(value) ? value.record[step] : undefined;
  return typeof value === "number" || typeof value === "bigint" ? value : undefined;
}

/** What sets the number of queues of a device. */
const COUNT: Readonly<Record<string, (queues: number) => string | Remedy>> = {
  "virtio-net": (queues) => `queues=${Math.max(1, (queues - 1) >> 1)} for its netdev, and mq=on`,
  "virtio-blk": set("num-queues"),
  "virtio-scsi": (queues) => set("num_queues")(queues - 2),
  "virtio-console": (queues) => set("max_ports")(queues / 2 - 1),
};

/** What sets the length of the queues; nothing that of a network device's last one, the control queue. */
const LENGTH: Readonly<Record<string, (queue: number, count: number) => string | undefined>> = {
  "virtio-net": (queue, count) =>
    queue % 2 === 1 ? "tx_queue_size" : queue === count - 1 && count > 2 ? undefined : "rx_queue_size",
  "virtio-blk": () => "queue-size",
  "virtio-scsi": () => "virtqueue_size",
};

/**
 * The guest's virtqueues: as many as the destination has, with its length where the guest has not set one up. The rings
 * of the others are in the guest's memory.
 * @param device `virtio-net`
 */
export function mergeQueues(device: string, record: Fields, theirs: Fields, ctx: MergeContext): FieldValue {
  const { queues } = record;
  const like = theirs["queues"];
  if (!Array.isArray(queues) || !Array.isArray(like)) return queues!;
  checkCount(device, queues, like, ctx);
  const withVector = like.some((queue) => isRecordValue(queue) && "vector" in queue.record);
  return queues.flatMap((queue, i): FieldValue[] => {
    const wanted = like[i];
    if (!isRecordValue(queue)) return [queue];
    if (wanted === undefined && !isUsed(queue)) return [];
    const { vector, ...rest } = queue.record;
    const merged = withVector ? { ...rest, vector: vector ?? 0xffff } : rest;
    const num = wanted !== undefined && isRecordValue(wanted) ? wanted.record["num"] : undefined;
    if (num === undefined || num === merged["num"]) return [{ record: merged }];
    if (!isUsed(queue)) {
      const what = "the guest has not set up this ring";
      ctx.within(`[${i}]`, () => ctx.note("virtqueue-size", "unused", merged["num"], num, what));
      return [{ record: { ...merged, num } }];
    }
    if (Number(num) < Number(merged["num"]))
      checkLength(device, { mine: Number(merged["num"]), theirs: Number(num), queue: i, count: queues.length }, ctx);
    return [{ record: merged }];
  });
}

function isUsed({ record }: RecordValue): boolean {
  return !isZero(record["desc"]);
}

function checkCount(device: string, mine: readonly FieldValue[], like: readonly FieldValue[], ctx: MergeContext): void {
  // The state of a network device has other fields where it has more than one pair.
  if (mine.length <= like.length && !(device === "virtio-net" && mine.length !== like.length)) return;
  const used = mine.slice(like.length).some((queue) => isRecordValue(queue) && isUsed(queue));
  const bound = used || device === "virtio-net";
  const reason = bound
    ? "the destination's device has another number of queues"
    : "the guest has not set up the others";
  const remedy = COUNT[device]?.(mine.length) ?? "a device with as many queues";
  ctx.note("virtqueue-count", bound ? "never" : "unused", mine.length, like.length, reason, remedy);
}

/** The longest ring of any QEMU (`VIRTQUEUE_MAX_SIZE`). */
const LONGEST = 1024;

/**
 * QEMU up to 10.0 takes a ring of any length: it is in the guest's memory. 11.1 refuses one that is longer than its
 * device's own ("VQ 0 vring.num 1024 exceeds allocated max 256"), under the guest's machine type too. Guests of Debian's
 * 10.0.13 with virtio 1.0 drivers have 1024 in every ring, which no property gives but those of `LENGTH`. Source:
 * hw/virtio/virtio.c `virtio_load` (5.2 to 11.1).
 */
function checkLength(
  device: string,
  { mine, theirs, queue, count }: { mine: number; theirs: number; queue: number; count: number },
  ctx: MergeContext,
): void {
  const free = ctx.facts.release !== undefined && /^\d\.|^10\.0/u.test(ctx.facts.release) && mine <= LONGEST;
  const reason = free
    ? "a ring that is longer than the destination gives new ones; it is in the guest's memory"
    : "the guest uses a ring that is longer than the destination's device allows: QEMU 10.0 gives 1024 to all";
  const name = LENGTH[device]?.(queue, count);
  const remedy = name === undefined ? UNLOADED : set(name)(mine);
  const weight = free ? "unused" : "never";
  ctx.within(`[${queue}]`, () => ctx.note("virtqueue-in-use", weight, mine, theirs, reason, free ? undefined : remedy));
}

const UNLOADED = "the device unplugged, or its driver unloaded, in the guest before it is saved; or a QEMU up to 10.0";
