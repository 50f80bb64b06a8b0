/** The rules of `qevm adapt` one by one, on states made by hand. */
import test from "tape";
import type { DeviceState, FieldDescription, FieldValue, RecordValue } from "../src/codec/vmstate/index.js";
import { MergeContext } from "../src/rewrite/adapt/context.js";
import { mergeDevice } from "../src/rewrite/adapt/merge.js";
import { propertiesBetween, globalArguments } from "../src/rewrite/adapt/properties.js";
import { mergePciConfig } from "../src/rewrite/adapt/rules/pci-config.js";
import { mergeVirtio } from "../src/rewrite/adapt/rules/virtio.js";
import { withoutIncoming } from "../src/rewrite/adapt/ask.js";
import { pairSections } from "../src/rewrite/adapt/pair.js";
import type { Change, Section } from "../src/rewrite/adapt/types.js";

/** A device of fields of one type, with its version. */
function device(version: number, fields: Record<string, [FieldDescription, FieldValue]>): DeviceState {
  const entries = Object.values(fields).map(([entry]) => entry);
  const values = Object.fromEntries(Object.entries(fields).map(([name, [, value]]) => [name, value]));
  const description = { name: "d", instanceId: 0, vmsdName: "d", version, fields: entries };
  return { description, fields: values, subsections: [], bytes: { typed: 0, named: 0, opaque: 0 } };
}

function u32(name: string, value: number, type = "uint32"): Record<string, [FieldDescription, FieldValue]> {
  return { [name]: [{ name, type, size: 4 }, value] };
}

function merged(old: DeviceState, pattern: DeviceState): { state: DeviceState; changes: Change[] } {
  const changes: Change[] = [];
  return { state: mergeDevice(old, pattern, new MergeContext("d", 0, changes)), changes };
}

test("fields: of both, of one version, of an older and of a newer one", (t) => {
  const both = merged(device(1, u32("a", 7)), device(1, u32("a", 1)));
  t.deepEqual({ ...both.state.fields }, { a: 7 }, "the old value");
  t.deepEqual(both.changes, []);
  const added = merged(device(1, u32("a", 7)), device(1, { ...u32("a", 1), ...u32("b", 2) }));
  t.deepEqual({ ...added.state.fields }, { a: 7, b: 2 }, "what the destination has beside: as it starts");
  t.equal(added.changes[0]?.weight, "unused");
  const older = merged(device(1, u32("a", 7)), device(2, { ...u32("a", 1), ...u32("b", 2) }));
  t.deepEqual({ ...older.state.fields }, { a: 7 }, "an older version stays what it is");
  t.equal(older.state.description.version, 1);
  const newer = merged(device(2, { ...u32("a", 7), ...u32("b", 9) }), device(1, u32("a", 1)));
  t.deepEqual({ ...newer.state.fields }, { a: 7 }, "what the destination is too old for is left out");
  t.deepEqual(
    [newer.changes[0]?.weight, newer.changes[0]?.rule],
    ["guest", "field:d/b"],
    "and refused, since it holds something",
  );
  const empty = merged(device(2, { ...u32("a", 7), ...u32("b", 0) }), device(1, u32("a", 1)));
  t.equal(empty.changes[0]?.weight, "unused", "unless it holds nothing");
  t.end();
});

test("fields: another name or width of the same bytes", (t) => {
  const renamed = merged(
    device(1, { ...u32("a", 7), ...u32("n", 3) }),
    device(1, { ...u32("a", 1), ...u32("n_save", 0) }),
  );
  t.deepEqual({ ...renamed.state.fields }, { a: 7, n_save: 3 });
  t.equal(renamed.changes[0]?.rule, "renamed-field");
  const room: Record<string, [FieldDescription, FieldValue]> = {
    unused: [{ name: "unused", type: "unused_buffer", size: 4 }, new Uint8Array(4)],
  };
  const left = merged(device(1, { ...u32("n", 3), ...u32("z", 1) }), device(1, { ...room, ...u32("z", 0) }));
  t.deepEqual({ ...left.state.fields }, { n: 3, z: 1 }, "a field that became room keeps its bytes");
  const wide: Record<string, [FieldDescription, FieldValue]> = { a: [{ name: "a", type: "uint64", size: 8 }, 0n] };
  const widened = merged(device(1, u32("a", 7)), device(1, wide));
  t.deepEqual({ ...widened.state.fields }, { a: 7n });
  t.equal(widened.changes[0]?.weight, "form");
  const narrow = merged(device(1, { a: [wide["a"]![0], 1n << 40n] }), device(1, u32("a", 0)));
  t.equal(narrow.changes[0]?.weight, "guest", "a value that does not fit is refused");
  t.end();
});

function list(values: number[]): DeviceState {
  return device(1, { a: [{ name: "a", arrayLength: values.length, type: "uint32", size: 4 }, values] });
}

test("arrays: more and fewer elements", (t) => {
  const grown = merged(list([1, 2]), list([0, 0, 9]));
  t.deepEqual(grown.state.fields["a"], [1, 2, 9]);
  t.equal(grown.changes[0]?.weight, "unused");
  t.equal(merged(list([1, 2, 0]), list([0, 0])).changes[0]?.weight, "unused", "elements that hold nothing");
  t.equal(merged(list([1, 2, 3]), list([0, 0])).changes[0]?.weight, "guest", "elements that hold something");
  t.end();
});

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

function pci(old: RecordValue, pattern: RecordValue): { record: Record<string, FieldValue>; changes: Change[] } {
  const changes: Change[] = [];
  return { ...mergePciConfig(old, pattern, new MergeContext("d", 0, changes)), changes };
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
  const none = new Uint8Array(192);
  const gone = pci(config({}), config({ status: 0, capabilities: 0, registers: none }));
  t.equal(gone.changes[0]?.remedy, "vectors=3 for this device");
  t.deepEqual(
    gone.changes.map(({ rule, weight }) => [rule, weight]),
    [["pci-capability", "guest"]],
  );
  t.end();
});

function virtio(change: Record<string, FieldValue>, pciChange: Record<string, FieldValue> = {}): RecordValue {
  const queues = [{ record: { num: 256, desc: 0x1000n } }, { record: { num: 1024, desc: 0n } }];
  const transport = { record: { config: config(pciChange), msix: { record: {} } } };
  return { record: { pci: transport, status: 7, config_len: 8, queues, subsections: [], ...change } };
}

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
  const moved = (old: Record<string, FieldValue>): Change | undefined => {
    const noted: Change[] = [];
    mergeVirtio(virtio(old, { bar0: 0xc0a1 }), virtio({ config_len: 12 }), new MergeContext("d", 0, noted));
    return noted.find(({ rule }) => rule === "virtio-legacy-bar");
  };
  t.equal(moved({})?.weight, "never", "32 bytes at 0xc0a0 cannot become 64");
  t.equal(moved({ status: 0 })?.weight, "unused", "unless no driver uses them");
  const modern = [{ record: { name: "virtio/64bit_features", guest_features: 1n << 32n } }];
  t.equal(moved({ subsections: modern })?.weight, "unused", "or it speaks virtio 1.0");
  t.end();
});

test("properties of old machine types", (t) => {
  const found = propertiesBetween("2.6", "11.1").map(({ driver, property, value }) => `${driver}.${property}=${value}`);
  t.ok(found.includes("virtio-pci.disable-modern=on"));
  t.notOk(found.includes("virtio-pci.migrate-extra=off"), "2.4's are not 2.6's");
  t.equal(found.filter((one) => one.startsWith("pci-bridge.shpc=")).join(), "pci-bridge.shpc=on", "the oldest counts");
  t.deepEqual(propertiesBetween("11.1", "7.2"), [], "none on the way down");
  const edid = [{ driver: "VGA", property: "edid", value: "false" }];
  t.deepEqual(
    globalArguments(edid, ["qemu"]),
    ["-vga", "std", "-global", "VGA.edid=false"],
    "the default adapter stays",
  );
  t.deepEqual(globalArguments(edid, ["qemu", "-nodefaults"]), ["-global", "VGA.edid=false"]);
  t.deepEqual(withoutIncoming(["q", "-incoming", "defer", "-S", "-m", "8"]), ["q", "-m", "8"]);
  t.end();
});

function section(idstr: string, instanceId = 0): Section {
  return {
    offset: 100,
    sectionId: 0,
    idstr,
    instanceId,
    versionId: 1,
    early: false,
    state: undefined,
    bytes: undefined,
  };
}

test("sections: by name and instance, by their order where instances count otherwise", (t) => {
  const changes: Change[] = [];
  const old = [section("apic", 0), section("apic", 1), section("0000:00:02.0/e1000"), section("0000:00:05.0/vga")];
  const now = [section("apic", 4), section("apic", 8), section("0000:00:02.0/e1000e"), section("0000:00:06.0/vga")];
  const pairs = pairSections(old, now, changes);
  t.deepEqual(
    pairs.map((pair) => [pair.old.instanceId, pair.pattern.instanceId]),
    [
      [0, 4],
      [1, 8],
    ],
  );
  const refused = changes.filter(({ weight }) => weight === "guest");
  t.match(refused[0]?.remedy ?? "", /-nic model=e1000$/u, "another device at the place");
  t.match(refused[1]?.remedy ?? "", /0000:00:06\.0\/vga.*addr=/u, "the device at another place");
  const many = Array.from({ length: 20_000 }, (_, i) => section(`s${i}`));
  const start = performance.now();
  pairSections(many, many.toReversed(), []);
  pairSections(
    many,
    many.map(({ idstr }) => section(`x${idstr}`)),
    [],
  );
  t.ok(performance.now() - start < 5000, "the work grows with the number of sections, not with its square");
  t.end();
});
