/** The rules of `qevm adapt` one by one, on states made by hand. */
import test from "tape";
import type { DeviceState, FieldDescription, FieldValue, StructState } from "../src/codec/vmstate/index.js";
import { adaptLines } from "../src/cli/adapt-report.js";
import { MergeContext } from "../src/rewrite/adapt/context.js";
import { mergeDevice } from "../src/rewrite/adapt/merge.js";
import {
  displayArguments,
  globalArguments,
  propertiesBetween,
  topologyArguments,
} from "../src/rewrite/adapt/properties.js";
import { withoutIncoming } from "../src/rewrite/adapt/ask.js";
import { planAdapt } from "../src/rewrite/adapt/plan.js";
import { pairSections } from "../src/rewrite/adapt/pair.js";
import type { AdaptPlan, Change, Section, Survey } from "../src/rewrite/adapt/types.js";
import { rewrapped } from "../src/rewrite/adapt/wrap.js";
import { processorClock } from "./support/processor-time.js";

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
  const left = merged(
    device(1, { ...u32("n", 3), ...u32("z", 1) }),
    device(1, { ...room("unused", 4), ...u32("z", 0) }),
  );
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

/** A buffer, and a field that says its length. */
function blob(length: number, size = length): DeviceState {
  const entry = { name: "buffer", type: "buffer", size: length };
  return device(1, { ...u32("size", size), buffer: [entry, new Uint8Array(length).fill(length)] });
}

test("a buffer that is as long as another field says has its own length", (t) => {
  const own = merged(blob(6), blob(4));
  t.deepEqual(own.state.fields["buffer"], new Uint8Array(6).fill(6), "the guest's own: the state of a TPM");
  t.equal(own.state.description.fields[1]?.size, 6);
  t.deepEqual(own.changes, []);
  const fixed = merged(blob(6, 9), blob(4, 9));
  t.equal(fixed.changes[0]?.rule, "length", "else its length is of the layout");
  t.end();
});

/** A change of an element of an array. */
function change(i: number, old: string, weight: Change["weight"] = "never"): Change {
  return { where: `d > queues > [${i}]`, old, new: "0x8", rule: "r", weight, reason: "why" };
}

test("changes of the elements of one array for one reason are one in the text", (t) => {
  const changes = [change(0, "0x80"), change(1, "0x80"), change(2, "0x40"), change(3, "0x40", "guest")];
  const report = {
    machines: { old: "a", new: "b" },
    enough: false,
    changes,
    refused: changes,
    warnings: [],
    passedOver: 0,
  };
  t.deepEqual(adaptLines(report, "done").slice(2), [
    "  d > queues > [0] to [2], 3 of them: 0x80 -> 0x8, 0x40 -> 0x8",
    "    why",
    "  d > queues > [3]: 0x40 -> 0x8",
    "    why",
    "    to take it all the same: --accept r",
  ]);
  t.end();
});

function topology(old: string, ...words: string[]): string {
  return topologyArguments(old, ["qemu", ...words]).join(" ");
}

test("the topology of CPUs that -smp says nothing of", (t) => {
  t.equal(topology("pc-i440fx-6.1", "-smp", "3,maxcpus=12"), "-smp cpus=3,maxcpus=12,sockets=12", "sockets up to 6.1");
  t.equal(topology("pc-q35-2.8", "-smp", "2", "-M", "q35,usb=on"), "-smp cpus=2,maxcpus=2,sockets=2");
  t.equal(topology("pc-q35-2.8", "-smp", "maxcpus=4,cpus=2"), "-smp cpus=2,maxcpus=4,sockets=4");
  t.equal(topology("pc-q35-6.2", "-machine", "pc-q35-6.1", "-smp", "4"), "-smp cpus=4,maxcpus=4,cores=4", "and back");
  t.equal(topology("pc-q35-2.8", "-smp", "4", "-machine", "type=pc-q35-5.2"), "", "two that take the same");
  t.equal(topology("pc-q35-7.0", "-smp", "4"), "");
  t.equal(topology("pc-q35-2.8", "-smp", "4,cores=2"), "", "a command that says it");
  t.equal(topology("pc-q35-2.8", "-smp", "1"), "");
  t.equal(topology("pc-q35-2.8"), "");
  t.equal(topology("virt-5.0", "-smp", "4"), "", "x86 alone: others are told by their device tree");
  t.end();
});

/** Room of a number of bytes, each of which is that number. */
function room(name: string, size: number): Record<string, [FieldDescription, FieldValue]> {
  return { [name]: [{ name, type: "unused_buffer", size }, new Uint8Array(size).fill(size)] };
}

test("room is no field: the first in one layout may be another's second", (t) => {
  const old = device(1, { ...room("unused[0]", 4), ...u32("a", 7), ...room("unused[1]", 9) });
  const { state } = merged(old, device(1, { ...u32("mode", 2), ...u32("a", 1), ...room("unused[0]", 9) }));
  t.deepEqual(
    Object.values(state.fields),
    [new Uint8Array(4).fill(4), 7, new Uint8Array(9).fill(9)],
    "sd-card, whose mode became room in 11.1: each at its place",
  );
  t.end();
});

test("arrays: more and fewer elements", (t) => {
  const grown = merged(list([1, 2]), list([0, 0, 9]));
  t.deepEqual(grown.state.fields["a"], [1, 2, 9]);
  t.equal(grown.changes[0]?.weight, "unused");
  t.equal(merged(list([1, 2, 0]), list([0, 0])).changes[0]?.weight, "unused", "elements that hold nothing");
  t.equal(merged(list([1, 2, 3]), list([0, 0])).changes[0]?.weight, "guest", "elements that hold something");
  t.end();
});

/** A chip of one byte in a device, and its values. */
function inner(version: number, name: string): [FieldDescription, StructState] {
  const entry = { name, type: "uint8", size: 1 };
  const struct = { vmsdName: "in", version, fields: [entry] };
  const value = { description: struct, fields: { [name]: 0 }, subsections: [] };
  return [{ name: "chip", type: "struct", size: 1, struct }, value];
}

function emptyStruct(version: number): StructState {
  return { description: { vmsdName: "in", version, fields: [] }, fields: {}, subsections: [] };
}

test("a struct inside is loaded as one of the destination's version, a field that QEMU compares is refused", (t) => {
  const { state, changes } = merged(device(2, { chip: inner(6, "old") }), device(2, { chip: inner(8, "now") }));
  const chip = state.fields["chip"] as StructState;
  t.equal(chip.description.version, 8);
  t.deepEqual(Object.keys(chip.fields), ["now"], "one field under another name");
  t.equal(changes[0]?.rule, "renamed-field");
  const lost = merged(device(2, { chip: inner(6, "old") }), device(2, { chip: [inner(8, "now")[0], emptyStruct(8)] }));
  t.deepEqual(Object.keys((lost.state.fields["chip"] as StructState).fields), [], "an old field is left out");
  const equal = merged(device(1, u32("ports", 6, "uint32 equal")), device(1, u32("ports", 4, "uint32 equal")));
  t.deepEqual(
    equal.changes.map(({ rule, weight }) => [rule, weight]),
    [["equal:d/ports", "never"]],
  );
  t.end();
});

/** A SCSI adapter with a chip of such fields. */
function adapter(version: number, chip: Record<string, [FieldDescription, FieldValue]>, beside = {}): DeviceState {
  const { description: whole, fields } = device(version === 1 ? 4 : 8, chip);
  const { name: _, instanceId: _instance, ...struct } = { ...whole, vmsdName: "esp" };
  const entry = { name: "esp", type: "struct", size: 1, struct };
  return device(version, { ...beside, esp: [entry, { description: struct, fields, subsections: [] }] });
}

function savedAdapter(state: DeviceState, versionId: number): Survey {
  return machineOf([{ ...section("0000:00:01.0/pciespscsi"), state, versionId }]);
}

test("the buffers of am53c974's chip, which became queues", (t) => {
  const old = (busy: number): DeviceState =>
    adapter(1, { ...u32("ti_size", busy), ...u32("ti_buf", 7), ...u32("lun", 3) });
  const pattern = adapter(
    2,
    { ...u32("ti_size", 0), ...u32("fifo", 0), ...u32("lun", 0) },
    u32("esp.mig_version_id", 8),
  );
  const planned = (busy: number): AdaptPlan => planAdapt(savedAdapter(old(busy), 1), savedAdapter(pattern, 2));
  const { sections, changes } = planned(0);
  const chip = sections[0]?.state?.fields["esp"] as StructState;
  t.deepEqual({ ...chip.fields }, { ti_size: 0, fifo: 0, lun: 3 }, "at rest: empty queues, and the rest of the chip");
  t.deepEqual([sections[0]?.versionId, sections[0]?.state?.fields["esp.mig_version_id"]], [2, 8], "in the new form");
  t.equal(changes.find(({ rule }) => rule === "esp-queue")?.weight, "unused");
  t.equal(
    planned(5).changes.find(({ rule }) => rule === "esp-queue")?.weight,
    "guest",
    "not while a command is under way",
  );
  t.end();
});

test("a section whose state became a field of another one, and back", (t) => {
  const [entry, value] = inner(2, "latch");
  const whole: DeviceState = {
    ...value,
    description: { ...value.description, name: "vga", instanceId: 0 },
    bytes: { typed: 1, named: 0, opaque: 0 },
  };
  const around = device(1, { chip: [entry, { ...value, fields: { latch: 9 } }] });
  const up = rewrapped({ ...whole, fields: { latch: 5 } }, around)!;
  t.equal((up.fields["chip"] as StructState).fields["latch"], 5);
  t.equal(rewrapped(around, whole)!.fields["latch"], 9, "taken out again");
  t.equal(rewrapped(whole, whole), undefined);
  t.equal(rewrapped(device(1, u32("x", 1)), whole), undefined);
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
  const cirrus = ["0000:00:02.0/cirrus_vga", "0000:00:03.0/e1000"];
  t.deepEqual(displayArguments(cirrus, ["qemu"]), ["-vga", "cirrus"], "the adapter that was the default up to 2.1");
  t.deepEqual(displayArguments(cirrus, ["qemu", "-vga", "std"]), [], "a command that says one is left as it is");
  t.deepEqual(displayArguments(["0000:00:02.0/vga"], ["qemu"]), [], "today's default");
  const oldest = propertiesBetween("1.4", "11.1");
  t.equal(oldest.findLast(({ property }) => property === "short_root_bus")?.value, "0", "of two that of the older");
  t.ok(oldest.some(({ property }) => property === "acpi-pci-hotplug-with-bridge-support"));
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
  const short = pairSections(
    [section("0000:02.0/e1000"), section("0000:02.0:03.0/vga"), section("0000:1d.7/1/usb-tablet")],
    [section("0000:00:1d.7/1/usb-tablet"), section("0000:00:02.0/e1000"), section("0000:00:02.0:03.0/vga")],
    [],
  );
  t.deepEqual(
    short.map(({ old: { idstr } }) => idstr),
    ["0000:1d.7/1/usb-tablet", "0000:02.0/e1000", "0000:02.0:03.0/vga"],
    "machine type 1.6 leaves out the root bus",
  );
  const many = Array.from({ length: 20_000 }, (_, i) => section(`s${i}`));
  const spent = processorClock();
  pairSections(many, many.toReversed(), []);
  pairSections(
    many,
    many.map(({ idstr }) => section(`x${idstr}`)),
    [],
  );
  t.ok(spent() < 5000, "the work grows with the number of sections, not with its square");
  t.end();
});

function machineOf(sections: Section[]): Survey {
  return {
    machine: "pc",
    configuration: undefined,
    pageSize: 4096,
    footers: true,
    blocks: [],
    ramOffset: 0,
    ramSectionId: 1,
    sections,
    chunked: [],
    mapped: false,
    diagnostics: { warnings: [], passedOver: 0 },
  };
}

test("a device that the destination's release cannot load, its own too, is refused", (t) => {
  const machine = machineOf([section("cirrus_vga")]);
  const refused = (release: string | undefined): string[] =>
    planAdapt(machine, machine, { release }).changes.map(({ rule, weight }) => `${rule} ${weight}`);
  t.deepEqual(refused("7.2"), ["isa-cirrus-vga never"]);
  t.deepEqual([refused("10.0"), refused(undefined)], [[], []]);
  const pci = machineOf([section("0000:00:02.0/cirrus_vga")]);
  t.deepEqual(planAdapt(pci, pci, { release: "7.2" }).changes, [], "the PCI device is another one");
  t.end();
});

test("a struct that is in a subsection of the destination, as the PCI part of pvscsi", (t) => {
  const inside: StructState = {
    description: { vmsdName: "PCIDevice", version: 2, fields: [{ name: "irq", type: "uint32", size: 4 }] },
    fields: { irq: 7 },
    subsections: [],
  };
  const entry = { name: "parent_obj", type: "struct", size: 4, struct: inside.description };
  const old = device(0, { parent_obj: [entry, inside], ...u32("msi_used", 1) });
  const like: StructState = {
    description: { vmsdName: "pvscsi/pcie", version: 0, fields: [entry] },
    fields: { parent_obj: { ...inside, fields: { irq: 0 } } },
    subsections: [],
  };
  const plain = device(0, u32("msi_used", 0));
  const pattern = {
    ...plain,
    subsections: [like],
    description: { ...plain.description, subsections: [like.description] },
  };
  const { state, changes } = merged(old, pattern);
  t.deepEqual(Object.keys(state.fields), ["msi_used"]);
  const [moved] = state.subsections;
  const part = moved?.fields["parent_obj"] as StructState | undefined;
  t.deepEqual([moved?.description.vmsdName, part?.fields["irq"]], ["pvscsi/pcie", 7]);
  t.deepEqual(
    changes.map(({ rule, weight }) => [rule, weight]),
    [["moved-field", "form"]],
  );
  t.end();
});
