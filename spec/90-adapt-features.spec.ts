/** What `qevm adapt` asks a destination beside its pattern: features of virtio devices, and subsections that it knows. */
import test from "tape";
import type { DeviceState, FieldValue, StructState } from "../src/codec/vmstate/index.js";
import { textOf, type Json, type JsonObject } from "../src/io/transport/qmp.js";
import { MergeContext } from "../src/rewrite/adapt/context.js";
import type { Monitor } from "../src/rewrite/adapt/objects.js";
import { subsectionsOf } from "../src/rewrite/adapt/dumped.js";
import { mergeDevice } from "../src/rewrite/adapt/merge.js";
import { offeredFeatures } from "../src/rewrite/adapt/offered.js";
import { mergeFeatures, takenFeatures } from "../src/rewrite/adapt/rules/virtio-features.js";
import type { Change, PatternFacts } from "../src/rewrite/adapt/types.js";
import { QemuProcess } from "../tools/qemu/process.js";
import { testEach } from "./support/qemus.js";

const NET = '"0000:00:03.0/virtio-net"/0';

function features(taken: bigint, offered: bigint | undefined): { changes: Change[]; left: bigint } {
  const changes: Change[] = [];
  const facts = { features: new Map(offered === undefined ? [] : [["0000:00:03.0", offered]]) };
  const ctx = new MergeContext(NET, 16, changes, facts);
  const modern = { name: "virtio_pci/modern_state", "guest_features[0]": Number(taken & 0xffff_ffffn) };
  const subsections: FieldValue[] = [
    { record: { name: "virtio/64bit_features", guest_features: taken } },
    { record: { ...modern, "guest_features[1]": Number(taken >> 32n) } },
  ];
  const record = { guest_features_lo: Number(taken & 0xffff_ffffn), subsections };
  return { changes, left: takenFeatures(mergeFeatures(record, ctx.features, ctx)) };
}

test("a feature that the guest took and the destination does not offer is refused by its name", (t) => {
  const uso = (1n << 54n) | (1n << 55n);
  const { changes, left } = features(uso | (1n << 32n) | 1n, (1n << 32n) | 1n);
  t.deepEqual(
    changes.map(({ rule, weight }) => [rule, weight]),
    [
      ["feature:guest_uso4", "guest"],
      ["feature:guest_uso6", "guest"],
    ],
  );
  t.equal(left, (1n << 32n) | 1n, "accepted, it is taken away");
  t.match(changes[0]!.remedy!, /^guest_uso4=on .*tap/u);
  t.equal(features(1n << 34n, 0n).changes[0]?.weight, "never", "a ring of another layout");
  t.deepEqual(features(1n << 30n, 0n).changes, [], "bit 30 is none");
  t.deepEqual(features(uso, uso | 1n).changes, [], "all are offered");
  t.deepEqual(features(uso, undefined).changes, [], "what is not known is not refused");
  t.match(features(1n << 50n, 0n).changes[0]!.rule, /^feature:bit-50$/u, "a bit without a name");
  t.end();
});

/** A machine with one legacy virtio device after a bridge at 02.0, whose registers are behind the monitor's `i` and `o`. */
class Ports implements Monitor {
  private address = 0;
  private readonly bridge = new Map([
    [0, 0x1b36_0001],
    [0x0c, 0x01_0000],
  ]);
  private readonly device = new Map([
    [0, 0x1000_1af4],
    [0x10, 1],
  ]);
  async execute(command: string, args: JsonObject = {}): Promise<Json> {
    if (command === "query-target") return { arch: "x86_64" };
    const words = textOf(args["command-line"]).split(" ");
    if (words[0] === "o/w") {
      if (words[1] === "0xcf8") this.address = Number(words[2]);
      else this.selected()?.set(this.address & 0xff, Number(words[2]));
      return await Promise.resolve("");
    }
    return await Promise.resolve(`portl[${words[1]}] = 0x${this.value(Number(words[1])).toString(16)}\r\n`);
  }
  private selected(): Map<number, number> | undefined {
    const [bus, slot] = [(this.address >> 16) & 0xff, (this.address >> 8) & 0xff];
    if (bus === 0 && slot === 0x10) return this.bridge;
    const number = ((this.bridge.get(0x18) ?? 0) >> 8) & 0xff;
    return bus !== 0 && bus === number && slot === 0x18 ? this.device : undefined;
  }
  private value(port: number): number {
    if (port === 0xcfc) return this.selected()?.get(this.address & 0xff) ?? (this.selected() ? 0 : 0xffff_ffff);
    const open = this.bridge.get(4) === 3 && this.device.get(4) === 1 && this.device.get(0x10) === port;
    return open ? 0x0101_0001 : 0xffff_ffff;
  }
}

test("features are read as a driver reads them, after bridges too", async (t) => {
  const found = await offeredFeatures(new Ports());
  t.deepEqual([...found], [["0000:00:02.0:03.0", 0x0101_0001n]]);
  const arm: Monitor = { execute: async () => await Promise.resolve({ arch: "aarch64" }) };
  t.equal((await offeredFeatures(arm)).size, 0, "nothing is known without ports");
  t.end();
});

testEach("a real QEMU: features of devices with and without the modern interface", async (t, qemu) => {
  const args = "-machine q35 -m 8 -nodefaults -S -device virtio-balloon-pci,addr=2 -device pcie-root-port,id=r,addr=3";
  const more = "-device virtio-rng-pci,bus=r,event_idx=off -device virtio-serial-pci,disable-modern=on,addr=4";
  const vm = await QemuProcess.start(qemu, `${args} ${more}`.split(" "));
  try {
    const found = await offeredFeatures(vm.qmp);
    const has = (place: string, bit: bigint): boolean => (((found.get(place) ?? 0n) >> bit) & 1n) === 1n;
    t.deepEqual([...found.keys()], ["0000:00:02.0", "0000:00:03.0:00.0", "0000:00:04.0"]);
    t.deepEqual([has("0000:00:02.0", 32n), has("0000:00:02.0", 1n)], [true, true], "virtio 1 and stats of the balloon");
    t.deepEqual([has("0000:00:03.0:00.0", 28n), has("0000:00:03.0:00.0", 29n)], [true, false], "event_idx=off");
    t.deepEqual([has("0000:00:04.0", 29n), has("0000:00:04.0", 32n)], [true, false], "a legacy device");
  } finally {
    await vm.close();
  }
});

/** How many subsections are left, and what was noted. */
function merged(name: string, value: number, facts: PatternFacts): [number, Change[]] {
  const changes: Change[] = [];
  const ctx = new MergeContext("d", 0, changes, facts);
  return [mergeDevice(withSubsection(name, value), withSubsection(undefined, 0), ctx).subsections.length, changes];
}

test("a subsection that the destination's QEMU does not know is refused, or left out where it holds nothing", (t) => {
  const dump = {
    d: { Description: { name: "d", Fields: [{ Description: { name: "in" } }], Subsections: [{ name: "d/known" }] } },
    vmschkmachine: { Name: "pc" },
  };
  const subsections = subsectionsOf(JSON.stringify(dump));
  t.deepEqual(
    [...subsections].map(([name, known]) => [name, [...known]]),
    [
      ["d", ["d/known"]],
      ["d/known", []],
      ["in", []],
    ],
  );
  t.equal(merged("d/new", 1, {})[0], 1, "kept where nothing is known");
  t.equal(merged("d/known", 1, { subsections })[0], 1, "kept where it is known");
  const [left, changes] = merged("d/new", 1, { subsections });
  t.deepEqual([left, changes[0]?.rule, changes[0]?.weight], [0, "subsection:d/new", "guest"]);
  t.equal(merged("d/new", 0, { subsections })[1][0]?.weight, "unused");
  t.end();
});

test("subsections of CPUs, by the destination's release", (t) => {
  t.deepEqual(merged("cpu/fred", 1, { release: "7.2" })[1][0]?.weight, "guest");
  t.equal(merged("cpu/error_code", 1, { release: "7.2" })[1][0]?.rule, "cpu-error-code");
  t.equal(merged("cpu/error_code", 1, { release: "7.2" })[1][0]?.weight, "unused");
  t.equal(merged("cpu/fred", 1, { release: "10.0" })[0], 1, "which has it");
  t.equal(merged("cpu/fred", 1, {})[0], 1, "nothing is known");
  t.end();
});

function withSubsection(name: string | undefined, value: number): DeviceState {
  const field = { name: "x", type: "uint32", size: 4 };
  const inside: StructState[] =
    name === undefined
      ? []
      : [{ description: { vmsdName: name, version: 1, fields: [field] }, fields: { x: value }, subsections: [] }];
  const descriptions = inside.map(({ description }) => description);
  const description = {
    name: "d",
    instanceId: 0,
    vmsdName: "d",
    version: 1,
    fields: [field],
    subsections: descriptions,
  };
  return {
    description,
    fields: { x: 1 },
    subsections: inside,
    bytes: { typed: 0, named: 0, opaque: 0 },
  };
}
