/** Sections besides "ram" and the devices: disks and dirty bitmaps. */
import { entry, type Entry, type Recipe, type WorkFile } from "../entry.js";
import { direct, emptyDisks, fillFirmware, mebi, words } from "./parts.js";

/**
 * A disk of 2 MiB, the second of which is zeros. (7.2 and 5.2 refuse their own last chunk of a disk that ends inside
 * it, because they write past its end.)
 */
export const smallDisk: WorkFile = {
  name: "disk.img",
  content: () => {
    const bytes = Buffer.alloc(2 * mebi);
    for (let sector = 0; sector < bytes.length / 512; sector++) {
      if (sector >> 11 !== 1) bytes.fill(`sector ${sector} of a disk; `, sector * 512, sector * 512 + 256);
    }
    return bytes;
  },
};

/** Until the bandwidth is measured, QEMU writes empty chunks as fast as it can. */
const slow = { "max-bandwidth": mebi };

const tiny = words("-machine none -m 64K -nodefaults");

const bitmaps = (qemu: string): Recipe => ({
  name: qemu === "7.2" ? "dirty-bitmap" : `v${qemu}-dirty-bitmap`,
  shows: "dirty bitmaps of two disks: one with bits, one that is all zeros, one that is disabled",
  qemu,
  args: [...tiny, ...emptyDisks("disk0", "disk1").map((word) => word.replace("size=1048576", "size=67108864"))],
  until: "nothing",
  before: [
    {
      execute: "block-dirty-bitmap-add",
      arguments: { node: "disk0", name: "since-monday", granularity: 65_536 },
    },
    { execute: "block-dirty-bitmap-add", arguments: { node: "disk0", name: "fine", granularity: 512 } },
    { execute: "block-dirty-bitmap-add", arguments: { node: "disk1", name: "still", disabled: true } },
    { human: 'qemu-io disk0 "write 64k 200k"' },
    { human: 'qemu-io disk0 "write 32M 3M"' },
  ],
  capabilities: ["dirty-bitmaps"],
  parameters: slow,
});

const disks = (qemu: string): Recipe => ({
  name: qemu === "7.2" ? "block" : `v${qemu}-block`,
  shows: "`migrate -b`: two disks beside the memory, zeros left out (zero-blocks)",
  qemu,
  args: [
    ...direct("microvm", 1),
    "-S",
    ...words("-device virtio-blk-device,drive=hd -device virtio-blk-device,drive=empty"),
    ...words("-drive if=none,id=hd,file=$DIR/disk.img,format=raw"),
    ...words("-drive if=none,id=empty,file=$DIR/empty.img,format=raw"),
  ],
  files: [fillFirmware, smallDisk, { name: "empty.img", content: () => new Uint8Array(mebi) }],
  until: "nothing",
  capabilities: ["zero-blocks"],
  parameters: slow,
  migrate: { blk: true },
});

const recipes: readonly Recipe[] = [
  bitmaps("7.2"),
  bitmaps("5.2"),
  bitmaps("10.0"),
  bitmaps("11.1"),
  disks("7.2"),
  disks("5.2"),
  {
    name: "v10.0-virtio-mem",
    shows: "virtio-mem of 10.0: what is plugged in comes before the pages",
    qemu: "10.0",
    args: [
      ...direct("q35").map((word) => (word === "8" ? "8,slots=2,maxmem=1G" : word)),
      ...words(
        "-object memory-backend-ram,id=plugged,size=64M -device virtio-mem-pci,memdev=plugged,requested-size=8M",
      ),
    ],
    files: [fillFirmware],
    until: "guest",
  },
];

/** Captures of other sections. */
export const sectionEntries: readonly Entry[] = recipes.map(entry);
