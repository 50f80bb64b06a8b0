/** RAMBlocks besides pc.ram: memory backends, NUMA, DIMMs, shared memory that stays out of the stream. */
import { entry, type Entry, type Recipe, type WorkFile } from "../entry.js";
import { bare, direct, fillFirmware, mebi, words } from "./parts.js";

/** The file of a memory backend, whose contents need no guest. Each 4 KiB page holds its number and a phrase. */
const backing: WorkFile = {
  name: "dimm.img",
  content: () => {
    const bytes = Buffer.alloc(4 * mebi);
    for (let page = 0; page < bytes.length / 4096; page += 3) {
      bytes.fill(`page ${page} of a DIMM; `, page * 4096, page * 4096 + 1024 + page);
    }
    return bytes;
  },
};

/** An empty file for main memory. */
const main: WorkFile = { name: "main.img", content: () => new Uint8Array(8 * mebi) };

const file = (id: string, share: string): string[] =>
  words(`-object memory-backend-file,id=${id},mem-path=$DIR/dimm.img,size=4M,share=${share}`);

const recipes: readonly Recipe[] = [
  {
    name: "ignore-shared",
    shows: "x-ignore-shared: main memory is shared and stays out; the other blocks come with addresses",
    args: [
      ...direct("pc,memory-backend=main"),
      ...words("-object memory-backend-file,id=main,mem-path=$DIR/main.img,size=8M,share=on"),
    ],
    files: [fillFirmware, main],
    until: "guest",
    capabilities: ["x-ignore-shared"],
  },
  {
    name: "ignore-shared-mixed",
    shows: "x-ignore-shared with one shared DIMM (left out) and private main memory (sent)",
    args: [
      ...direct("pc").map((word) => (word === "8" ? "8,slots=2,maxmem=1G" : word)),
      ...file("dimm-shared", "on"),
      ...words("-device pc-dimm,id=dimm0,memdev=dimm-shared"),
    ],
    files: [fillFirmware, backing],
    until: "guest",
    capabilities: ["x-ignore-shared"],
  },
  {
    name: "hotplug",
    shows: "a DIMM from the start and two added later by device_add",
    args: [
      ...direct("pc").map((word) => (word === "8" ? "8,slots=4,maxmem=1G" : word)),
      ...file("mem-cold", "off"),
      ...words("-device pc-dimm,id=cold,memdev=mem-cold"),
    ],
    files: [fillFirmware, backing],
    until: "guest",
    before: [
      { execute: "object-add", arguments: { "qom-type": "memory-backend-ram", id: "mem-hot1", size: 2 * mebi } },
      { execute: "device_add", arguments: { driver: "pc-dimm", id: "hot1", memdev: "mem-hot1" } },
      {
        execute: "object-add",
        arguments: { "qom-type": "memory-backend-file", id: "mem-hot2", "mem-path": "$DIR/dimm.img", size: 4 * mebi },
      },
      { execute: "device_add", arguments: { driver: "pc-dimm", id: "hot2", memdev: "mem-hot2" } },
    ],
  },
  {
    name: "numa",
    shows: "two NUMA nodes with memory backends of unequal size: no pc.ram block",
    args: [
      ...direct("q35", 8),
      ...words("-smp 2 -object memory-backend-ram,id=node-b,size=6M -object memory-backend-ram,id=node-a,size=2M"),
      ...words("-numa node,nodeid=0,cpus=0,memdev=node-a -numa node,nodeid=1,cpus=1,memdev=node-b"),
    ],
    files: [fillFirmware],
    until: "guest",
  },
  {
    name: "backend-3.1",
    shows: "machine type 3.1 with a file backend: the block is called /objects/main",
    args: [
      ...direct("pc-i440fx-3.1,memory-backend=main"),
      ...words("-object memory-backend-file,id=main,mem-path=$DIR/main.img,size=8M,share=off"),
    ],
    files: [fillFirmware, main],
    until: "guest",
  },
  {
    name: "nvdimm-virtio-mem",
    shows: "nvdimm, virtio-mem and virtio-pmem blocks",
    args: [
      ...bare("q35,nvdimm=on").map((word) => (word === "8" ? "8,slots=4,maxmem=1G" : word)),
      ...file("mem-nvdimm", "off"),
      ...words("-device nvdimm,id=nv0,memdev=mem-nvdimm,label-size=128K"),
      ...words("-object memory-backend-ram,id=mem-virtio,size=8M"),
      ...words("-device virtio-mem-pci,memdev=mem-virtio,requested-size=4M,block-size=2M"),
      ...words("-object memory-backend-ram,id=mem-pmem,size=2M -device virtio-pmem-pci,memdev=mem-pmem"),
    ],
    files: [backing],
  },
];

/** Entries of this list. */
export const memoryEntries: readonly Entry[] = recipes.map(entry);
