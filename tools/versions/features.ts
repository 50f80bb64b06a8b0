/** The rows of the version matrix. */
import { readFileSync } from "node:fs";
import type { QemuProcess } from "../qemu/process.js";
import { commonDevices } from "../capture/entries/devices.js";
import { bare, booting, direct, dirtyFirmware, fillDisk, fillFirmware, mebi, words } from "../capture/entries/parts.js";
import type { Feature } from "./feature.js";
import type { JsonObject } from "../../src/io/transport/qmp.js";
import type { WorkFile } from "../capture/entry.js";
import type { RecordingInspection } from "../../src/analyse/inspect/recording.js";
import { dirtying, reading } from "../postcopy/recipes.js";
import { live as writing, still as memory } from "../recording/machines.js";
import { channels, type ChannelFeature } from "./channels.js";
import { postcopy, type PostcopyFeature } from "./postcopy.js";
import { received, type ReceivedFeature } from "./received.js";
import { single, type SingleFeature } from "./single.js";

/** Compressed pages are small: a slower link gives each round several windows of 100 ms. */
const slow = { "max-bandwidth": 256 << 10 };

/** A guest that has filled memory and halted. */
const still = { args: direct("pc"), files: [fillFirmware], until: "guest" } as const;

/** A guest that keeps writing. */
const live = { args: direct("pc"), files: [dirtyFirmware], until: "guest", rounds: 4 } as const;

const mapped = { from: "file", uri: "file:$DIR/stream" } as const;

const disk: WorkFile = {
  name: "disk.img",
  content: () => {
    const bytes = Buffer.alloc(4 * mebi);
    bytes.fill("a disk of 4 MiB; ", mebi + 5000, 2 * mebi - 700);
    bytes.fill("the last sectors; ", 3 * mebi + 512);
    return bytes;
  },
};

const onDisk = words(
  "-blockdev driver=file,node-name=file0,filename=$DIR/disk.img -blockdev driver=raw,node-name=disk0,file=file0",
);

/** Every bitmap of the disk: its state, and QEMU's own hash of its bits. */
async function bitmaps(vm: QemuProcess): Promise<string> {
  const nodes = (await vm.execute("query-named-block-nodes")) as readonly JsonObject[];
  const found = nodes.flatMap((node) => (node["dirty-bitmaps"] ?? []) as readonly JsonObject[]);
  const rows = found.map(async ({ name, count, granularity, recording, persistent }) => {
    const bits = await vm.execute("x-debug-block-dirty-bitmap-sha256", { node: "disk0", name: name ?? "" });
    return JSON.stringify({ name, count, granularity, recording, persistent, bits });
  });
  return (await Promise.all(rows)).toSorted().join("\n");
}

function compressed(level: number, threads: number): SingleFeature {
  return {
    name: `compress, level ${level}`,
    ...still,
    capabilities: ["compress"],
    parameters: { "compress-level": level, "compress-threads": threads },
    holds: ({ ram }) => ram.pages.compressed > 0,
  };
}

/** A memory backend that is added later. */
const plugged = { "qom-type": "memory-backend-ram", id: "mem-hot1", size: 2 * mebi };

const rows: readonly SingleFeature[] = [
  { name: "zero and normal pages", ...still, holds: ({ ram }) => ram.pages.normal > 0 && ram.pages.zero > 0 },
  { name: "rounds of a running guest", ...live, holds: ({ ram }) => ram.pages.normal > 300 },
  {
    name: "`-machine none`",
    args: words("-machine none -m 8 -nodefaults"),
    until: "nothing",
    holds: ({ ram }) => ram.pages.zero === 2048,
  },
  {
    name: "q35 with many devices",
    args: [...bare("q35"), ...commonDevices],
    holds: ({ devices }) => devices.length > 40,
  },
  {
    name: "SeaBIOS, boot disk",
    args: booting("pc"),
    files: [fillDisk],
    until: "guest",
    holds: ({ ram }) => ram.pages.normal > 0,
  },
  compressed(1, 8),
  compressed(9, 1),
  {
    name: "compress, running guest",
    ...live,
    capabilities: ["compress"],
    parameters: { ...slow, "compress-level": 1, "compress-threads": 8 },
    holds: ({ ram }) => ram.pages.compressed > 0,
  },
  {
    name: "xbzrle",
    ...live,
    capabilities: ["xbzrle"],
    parameters: { "xbzrle-cache-size": 64 * mebi },
    rounds: 6,
    holds: ({ ram }) => ram.pages.xbzrle > 0,
  },
  {
    name: "xbzrle with compress",
    ...live,
    capabilities: ["xbzrle", "compress"],
    parameters: { ...slow, "compress-level": 1, "xbzrle-cache-size": 64 * mebi },
    rounds: 5,
    holds: ({ ram }) => ram.pages.compressed + ram.pages.xbzrle > 0,
  },
  {
    name: "NUMA nodes of unequal size",
    ...still,
    args: [
      ...direct("q35"),
      ...words("-smp 2 -object memory-backend-ram,id=node-b,size=6M -object memory-backend-ram,id=node-a,size=2M"),
      ...words("-numa node,nodeid=0,cpus=0,memdev=node-a -numa node,nodeid=1,cpus=1,memdev=node-b"),
    ],
    holds: ({ ram }) => ram.blocks.some(({ block: name }) => name === "node-b"),
  },
  {
    name: "hot-plugged DIMM",
    ...still,
    args: direct("pc").map((word) => (word === "8" ? "8,slots=4,maxmem=1G" : word)),
    before: [
      { execute: "object-add", arguments: plugged },
      { execute: "device_add", arguments: { driver: "pc-dimm", id: "hot1", memdev: "mem-hot1" } },
    ],
    holds: ({ ram }) => ram.blocks.some(({ block: name }) => name === "mem-hot1"),
  },
  {
    name: "x-ignore-shared",
    args: [
      ...direct("pc,memory-backend=main"),
      ...words("-object memory-backend-file,id=main,mem-path=$DIR/main.img,size=8M,share=on"),
    ],
    files: [fillFirmware, { name: "main.img", content: () => new Uint8Array(8 * mebi) }],
    until: "guest",
    capabilities: ["x-ignore-shared"],
    holds: ({ capabilities }) => capabilities.includes("x-ignore-shared"),
  },
  {
    name: "validate-uuid",
    ...still,
    args: [...direct("pc"), ...words("-uuid 6f1c9d2e-5a0b-4c3d-8e7f-0123456789ab")],
    capabilities: ["validate-uuid"],
    holds: ({ ram }) => ram.pages.normal > 0,
  },
  {
    name: "no VMDESCRIPTION, with another capture's",
    ...still,
    args: direct("pc,suppress-vmdesc=on"),
    lent: direct("pc"),
    holds: ({ vmdescription }) => !vmdescription,
  },
  {
    name: "mapped-ram",
    ...still,
    ...mapped,
    capabilities: ["mapped-ram"],
    holds: ({ ram }) => ram.pages.mapped > 0,
  },
  {
    name: "mapped-ram, running guest, multifd",
    ...live,
    ...mapped,
    capabilities: ["mapped-ram", "multifd"],
    holds: ({ ram }) => ram.pages.mapped > 0,
  },
  {
    name: "mapped-ram, multifd, direct-io",
    ...still,
    ...mapped,
    capabilities: ["mapped-ram", "multifd"],
    parameters: { "direct-io": true },
    holds: ({ ram }) => ram.pages.mapped > 0,
  },
  {
    name: "mode cpr-reboot",
    ...still,
    parameters: { mode: "cpr-reboot" },
    without: (version) => (Number(version) < 8 ? "not in this version: no parameter mode" : undefined),
    holds: ({ ram }) => ram.pages.normal > 0,
  },
  {
    name: "background snapshot",
    ...still,
    capabilities: ["background-snapshot"],
    holds: ({ ram }) => ram.pages.normal > 0,
  },
  {
    name: "dirty-bitmap",
    ...still,
    args: [...direct("pc"), ...onDisk],
    files: [fillFirmware, disk],
    capabilities: ["dirty-bitmaps"],
    before: [
      { execute: "block-dirty-bitmap-add", arguments: { node: "disk0", name: "since-monday" } },
      { execute: "block-dirty-bitmap-add", arguments: { node: "disk0", name: "fine", granularity: 512 } },
      { human: 'qemu-io disk0 "write -P 7 1M 70000"' },
    ],
    holds: ({ sections }) => sections.some(({ section: name }) => name === "dirty-bitmap"),
    state: bitmaps,
  },
  {
    name: "block migration",
    ...still,
    args: [
      ...direct("pc"),
      ...words("-drive if=none,id=disk0,file=$DIR/disk.img,format=raw -device virtio-blk-pci,drive=disk0"),
    ],
    files: [fillFirmware, disk],
    capabilities: ["block"],
    holds: ({ sections }) => sections.some(({ section: name }) => name === "block"),
    fresh: (left) => ({ ...left, "disk.img": new Uint8Array(left["disk.img"]?.length ?? 0) }),
    state: (vm) => readFileSync(vm.file("disk.img"), "latin1"),
  },
];

function multifd(
  method: string,
  count: number,
  more: Partial<ChannelFeature> & { readonly name: string },
): ChannelFeature {
  const parameters = { "multifd-channels": count, ...(method === "none" ? {} : { "multifd-compression": method }) };
  return {
    ...memory(),
    capabilities: ["multifd"],
    holds: ({ ram }) => ram.pages.multifd > 0,
    ...more,
    parameters: { ...parameters, ...more.parameters },
  };
}

/** Since 9.0 the encoding of zero pages is a parameter. */
const chosenZeros = (version: string): string | undefined =>
  Number(version) < 9 ? "no: before 9.0 zero pages always go over the main channel" : undefined;

/** QEMU supports zstd since 5.0, but not in every build. */
const withoutZstd = (version: string): string | undefined =>
  version === "5.2" ? "not in this version: Debian built it without zstd" : undefined;

/** Compressed rounds are short: a slow link makes them long enough to count. */
const compressing = { ...writing(), rounds: 2, parameters: { "max-bandwidth": 64 << 10 } };

const recordings: readonly ChannelFeature[] = [
  multifd("none", 2, { name: "multifd, 2 channels" }),
  multifd("zlib", 2, { name: "multifd, zlib, 2 channels" }),
  multifd("zstd", 2, { name: "multifd, zstd, 2 channels", without: withoutZstd }),
  multifd("none", 8, { name: "multifd, 8 channels, running guest", ...writing(), rounds: 4 }),
  multifd("zlib", 8, { name: "multifd, zlib, 8 channels, running guest", ...compressing }),
  multifd("zstd", 8, { name: "multifd, zstd, 8 channels, running guest", ...compressing, without: withoutZstd }),
  // Machine types up to 8.0 sync the channels after every section, later ones after every round.
  multifd("none", 2, {
    name: "multifd, machine type of 5.2",
    ...writing(),
    args: direct("pc-i440fx-5.2"),
    rounds: 3,
  }),
  multifd("none", 2, {
    name: "multifd, zero pages on the main channel",
    parameters: { "zero-page-detection": "legacy" },
    without: chosenZeros,
    holds: ({ ram }) => ram.pages.multifd > 0 && ram.pages.zero > 0,
  }),
  multifd("zlib", 2, {
    name: "multifd, zlib, zero pages as any other",
    parameters: { "zero-page-detection": "none" },
    without: chosenZeros,
    holds: ({ ram }) => ram.pages.multifd > 0 && ram.pages.zero === 0,
  }),
];

const asked = ({ channels: found }: RecordingInspection): boolean =>
  found.some(({ messages }) => messages.some(({ name }) => name.startsWith("REQ_PAGES")));

const postcopies: readonly PostcopyFeature[] = [
  { ...reading("postcopy", "", ""), holds: asked },
  {
    ...reading("postcopy, preempt channel", "", "", { capabilities: ["postcopy-preempt"] }),
    holds: (found) => asked(found) && found.channels.some(({ role }) => role === "preempt"),
  },
  {
    ...dirtying("postcopy after rounds, pages discarded", "", ""),
    holds: ({ commands }) => commands.some(({ name }) => name === "POSTCOPY_RAM_DISCARD"),
  },
];

const answered = ({ channels: found }: RecordingInspection): boolean =>
  found.some(({ role }) => role === "return-path");

const receptions: readonly ReceivedFeature[] = [
  {
    name: "return path, `qevm receive` as destination",
    ...writing(),
    rounds: 3,
    capabilities: ["return-path"],
    parameters: {},
    holds: answered,
  },
  {
    name: "return path and multifd, `qevm receive` as destination",
    ...memory(),
    capabilities: ["return-path", "multifd"],
    parameters: { "multifd-channels": 4 },
    holds: (found) => answered(found) && found.ram.pages.multifd > 0,
  },
];

/** Every row, in the order of the table. */
export const features: readonly Feature[] = [
  ...rows.map(single),
  ...recordings.map(channels),
  ...postcopies.map(postcopy),
  ...receptions.map(received),
];
