/** The rules of `qevm adapt` for PCI and virtio devices, on states made by hand. */
import test from "tape";
import type { FieldValue, RecordValue } from "../src/codec/vmstate/index.js";
import { MergeContext } from "../src/rewrite/adapt/context.js";
import { mergeExtended, mergePciConfig } from "../src/rewrite/adapt/rules/pci-config.js";
import { mergeGpu } from "../src/rewrite/adapt/rules/virtio-gpu.js";
import { mergeVirtio } from "../src/rewrite/adapt/rules/virtio.js";
import type { Change } from "../src/rewrite/adapt/types.js";

/** A configuration space with MSI-X at 0x40. */
function config(change: Record<string, FieldValue>, vectors = 3): RecordValue {
  const registers = new Uint8Array(192);
  registers.set([0x11, 0, vectors - 1, 0x80]);
  const plain = {
    vendor_id: 0x1af4,
    device_id: 0x1000,
    command: 7,
    status: 0x10,
    revision: 0,
    prog_if: 0,
    class: 0x200,
  };
  return { record: { ...plain, header_type: 0, bar0: 0xc041, capabilities: 0x40, registers, ...change } };
}

function pci(
  old: RecordValue,
  pattern: RecordValue,
  name = "virtio-net",
): { record: Record<string, FieldValue>; changes: Change[] } {
  const changes: Change[] = [];
  return { ...mergePciConfig(old, pattern, new MergeContext(`"0000:00:03.0/${name}"/0`, 0, changes)), changes };
}

test("PCI: what the device is from the destination, what the guest wrote from the stream", (t) => {
  const fine = pci(config({ revision: 0 }), config({ revision: 2, command: 0, bar0: 1 }));
  t.deepEqual([fine.record["revision"], fine.record["command"], fine.record["bar0"]], [2, 7, 0xc041]);
  t.deepEqual(
    fine.changes.map(({ rule, weight }) => [rule, weight]),
    [["pci-identity", "unused"]],
  );
  t.equal((fine.record["registers"] as Uint8Array)[3], 0x80, "MSI-X stays enabled");
  const other = pci(config({}), config({ device_id: 0x1001 }));
  t.equal(other.changes[0]?.weight, "never", "another device");
  const table = pci(config({}, 4), config({}, 3));
  t.equal(table.changes[0]?.remedy, "vectors=4 for this device");
  t.deepEqual(table.changes[0]?.setting, { place: "0000:00:03.0", property: "vectors", value: "4" });
  t.equal(pci(config({}, 4), config({}, 3), "nvme").changes[0]?.setting?.property, "msix_qsize");
  t.equal(pci(config({}, 4), config({}, 3), "e1000e").changes[0]?.setting, undefined, "no property sets it");
  const none = new Uint8Array(192);
  const gone = pci(config({}), config({ status: 0, capabilities: 0, registers: none }));
  t.equal(gone.changes[0]?.remedy, "vectors=3 for this device");
  t.deepEqual(
    gone.changes.map(({ rule, weight }) => [rule, weight]),
    [["pci-capability", "guest"]],
  );
  t.end();
});

/** An extended configuration space with advanced error reporting. */
function errors(mask: number, id = 1): Uint8Array {
  const bytes = new Uint8Array(0x80);
  bytes.set([id, 0, 2, 0]);
  bytes[0x0a] = mask;
  return bytes;
}

test("PCI Express: a mask of errors that the destination does not have, capabilities of another order", (t) => {
  const changes: Change[] = [];
  const ctx = new MergeContext("d", 0, changes);
  t.equal(mergeExtended(errors(0x40), errors(0), ctx)[0x0a], 0, "7.2 has none");
  t.equal(changes[0]?.rule, "pci-error-mask");
  t.equal(mergeExtended(errors(0), errors(0x40), ctx)[0x0a], 0, "the guest's, where there is one");
  t.equal(mergeExtended(errors(0x40), errors(0, 3), ctx)[0], 3, "another capability: the destination's");
  t.equal(changes[1]?.rule, "pci-extended");
  t.end();
});

function gpu(outputs: number, more: Record<string, FieldValue> = {}): RecordValue {
  return { record: { enable: 1, max_outputs: outputs, scanout: [{ record: { width: outputs * 8, ...more } }] } };
}

function scanout({ record }: RecordValue): unknown {
  return (record["scanout"] as RecordValue[])[0]!.record;
}

test("virtio-gpu: scanouts with and without their buffer", (t) => {
  const changes: Change[] = [];
  const ctx = new MergeContext("d", 0, changes);
  t.deepEqual(scanout(mergeGpu(gpu(1, { "fb.width": 3 }), gpu(1), ctx)), { width: 8 });
  t.deepEqual(scanout(mergeGpu(gpu(1), gpu(1, { "fb.width": 0 }), ctx)), { width: 8, "fb.width": 0 });
  t.deepEqual(new Set(changes.map(({ rule }) => rule)), new Set(["gpu-scanout"]));
  mergeGpu(gpu(1), gpu(2), ctx);
  t.deepEqual([changes.at(-1)?.weight, changes.at(-1)?.remedy], ["never", "max_outputs=1 for this device"]);
  t.end();
});

function virtio(change: Record<string, FieldValue>, pciChange: Record<string, FieldValue> = {}): RecordValue {
  const queues = [{ record: { num: 256, desc: 0x1000n } }, { record: { num: 1024, desc: 0n } }];
  const transport = { record: { config: config(pciChange), msix: { record: {} } } };
  return { record: { pci: transport, status: 7, config_len: 8, queues, subsections: [], ...change } };
}

test("PCI: a device that became one of PCI Express", (t) => {
  const long = new Uint8Array(4096 - 64);
  long.set([0x11, 0, 2, 0]);
  long.set(errors(0), 0x100 - 64);
  const { record, changes } = pci(config({}), config({ registers: long }));
  const registers = record["registers"] as Uint8Array;
  t.deepEqual([registers.length, registers[3]], [long.length, 0x80], "its length, and what the guest set");
  t.equal(registers[0x100 - 64], 1, "the capabilities after it are the destination's");
  t.deepEqual(
    changes.map(({ rule, weight }) => [rule, weight]),
    [["pci-extended", "unused"]],
  );
  const back = pci(config({ registers: long }), config({}));
  t.equal((back.record["registers"] as Uint8Array).length, 192, "and back");
  t.end();
});

test("virtio: rings that are not set up, and the legacy BAR", (t) => {
  const changes: Change[] = [];
  const like = virtio({ queues: [{ record: { num: 512, desc: 0n } }, { record: { num: 256, desc: 0n } }] });
  const { record } = mergeVirtio(virtio({}), like, new MergeContext("d", 0, changes));
  const nums = (record["queues"] as RecordValue[]).map((queue) => queue.record["num"]);
  t.deepEqual(nums, [256, 256], "a ring in use keeps its length, the other takes the destination's");
  t.deepEqual(
    changes.map(({ rule, weight }) => [rule, weight]),
    [["virtqueue-size", "unused"]],
  );
  t.end();
});

test("virtio: a legacy BAR that has no room", (t) => {
  const place = '"0000:00:05.0/virtio-console"/0';
  let bars: unknown[] = [];
  const moved = (
    old: Record<string, FieldValue>,
    theirs: Record<string, FieldValue> = {},
    mine: Record<string, FieldValue> = {},
  ): Change | undefined => {
    const noted: Change[] = [];
    const guest = virtio(old, { bar0: 0xc0a1, bar2: 0, ...mine });
    const { record } = mergeVirtio(guest, virtio({ config_len: 12 }, theirs), new MergeContext(place, 0, noted));
    const space = ((record["pci"] as RecordValue).record["config"] as RecordValue).record;
    bars = [space["bar0"], space["bar2"]];
    return noted.find(({ rule }) => rule === "virtio-legacy-bar");
  };
  const full = moved({});
  t.equal(full?.weight, "never", "32 bytes at 0xc0a0 cannot become 64");
  t.equal(full?.setting?.property, "disable-modern", "the register of notifications comes with virtio 1.0");
  const registers = new Uint8Array(192);
  registers.set([0x11, 0x4c, 2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0x09, 0, 16, 1]);
  const modernDevice = { registers };
  t.equal(moved({}, modernDevice)?.setting?.property, "modern-pio-notify");
  t.equal(moved({}, { ...modernDevice, bar2: 1 })?.weight, "guest", "with it there is the one register that it needs");
  t.deepEqual(bars, [1, 0xc0b1], "16 after the guest's address; the others are not there");
  const silent = new Uint8Array(192);
  silent.set([0x11, 0, 2, 0]);
  const without = moved({}, { bar2: 1 }, { registers: silent });
  t.deepEqual([without?.weight, without?.setting], ["never", undefined], "a driver without MSI-X reads another one");
  t.equal(moved({ status: 0 })?.weight, "unused", "unless no driver uses them");
  const modern = [{ record: { name: "virtio/64bit_features", guest_features: 1n << 32n } }];
  t.equal(moved({ subsections: modern })?.weight, "unused", "or it speaks virtio 1.0");
  t.end();
});

test("PCI: a capability that the destination has elsewhere", (t) => {
  const there = new Uint8Array(192);
  there.set([0x11, 0, 2, 0], 0x58);
  const { record, changes } = pci(config({}), config({ capabilities: 0x98, registers: there }));
  t.equal((record["registers"] as Uint8Array)[0x5b], 0x80, "MSI-X stays enabled");
  const gone = changes.find(({ rule }) => rule === "pci-capability");
  t.deepEqual([gone?.weight, gone?.new], ["guest", "0x98"]);
  t.end();
});

function fixed(
  name: string,
  old: Record<string, FieldValue>,
  now: Record<string, FieldValue>,
  release?: string,
): Change[] {
  const changes: Change[] = [];
  const pattern = virtio({ queues: virtio({}).record["queues"]!, ...now });
  mergeVirtio(virtio(old), pattern, new MergeContext(`"0000:00:03.0/${name}"/0`, 0, changes, { release }));
  return changes;
}

function sanity(block: bigint): FieldValue {
  return { record: { "sanity-checks": { record: { block_size: block } } } };
}

function vnet(value: number): FieldValue {
  return { record: { has_vnet_hdr: value } };
}

function ring(desc: bigint, num = 256): RecordValue {
  return { record: { num, desc } };
}

test("virtio: what the device is by its command line has to agree", (t) => {
  const [memory] = fixed("virtio-mem", { device: sanity(0x200000n) }, { device: sanity(0x100000n) });
  t.deepEqual([memory?.weight, memory?.remedy], ["never", "block-size=2097152 for this device"]);
  t.equal(fixed("virtio-net", { device: vnet(1) }, { device: vnet(0) })[0]?.weight, "never", "a header of the backend");
  t.deepEqual(fixed("virtio-net", { device: vnet(0) }, { device: vnet(1) }), [], "which may come to it");
  const few = { queues: [ring(0n)] };
  const [gone] = fixed("virtio-blk", { queues: [ring(1n), ring(1n)] }, few);
  t.deepEqual([gone?.rule, gone?.weight, gone?.remedy], ["virtqueue-count", "never", "num-queues=2 for this device"]);
  t.equal(
    fixed("virtio-blk", { queues: [ring(1n), ring(0n)] }, few)[0]?.weight,
    "unused",
    "queues that are not set up",
  );
  t.equal(fixed("virtio-net", { queues: [ring(1n)] }, { queues: [ring(0n), ring(0n)] })[0]?.weight, "never");
  const [long] = fixed("virtio-blk", { queues: [ring(1n, 1024)] }, few);
  t.deepEqual(
    [long?.rule, long?.weight, long?.remedy],
    ["virtqueue-in-use", "never", "queue-size=1024 for this device"],
  );
  const pair = [ring(0n), ring(0n), ring(0n)];
  const net = fixed(
    "virtio-net",
    { queues: [ring(1n, 1024), ring(1n, 1024), ring(1n, 1024)] },
    { queues: pair },
    "11.1",
  );
  t.deepEqual(
    net.map(({ setting }) => setting?.property),
    ["rx_queue_size", "tx_queue_size", undefined],
    "nothing sets the length of the control queue",
  );
  const longRing = (release: string): Change => fixed("virtio-rng", { queues: [ring(1n, 1024)] }, few, release)[0]!;
  t.equal(longRing("10.0").weight, "unused", "up to 10.0 a ring may have any length");
  t.equal(longRing("11.1").weight, "never");
  t.match(longRing("11.1").remedy!, /unloaded/u, "no property sets the length of this one");
  t.end();
});
