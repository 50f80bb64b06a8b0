/** The same kinds of streams from other versions of QEMU, in chroots. */
import { entry, type Entry, type Recipe } from "../entry.js";
import { commonDevices } from "./devices.js";
import { bare, direct, dirtyFirmware, fillFirmware, mebi, words } from "./parts.js";

const guest = (
  version: string,
  recipe: Partial<Recipe> & { readonly name: string; readonly shows: string },
): Recipe => ({
  args: direct("pc"),
  files: [dirtyFirmware],
  until: "guest",
  rounds: 4,
  ...recipe,
  qemu: version,
});

const slow = { "max-bandwidth": 256 << 10 };

const recipes: readonly Recipe[] = [
  guest("5.2", { name: "v5.2-live", shows: "QEMU 5.2: plain, live" }),
  guest("5.2", {
    name: "v5.2-compress-live",
    shows: "QEMU 5.2: compress, level 1, 2 threads, live",
    capabilities: ["compress"],
    parameters: { ...slow, "compress-level": 1, "compress-threads": 2 },
  }),
  guest("5.2", {
    name: "v5.2-xbzrle",
    shows: "QEMU 5.2: xbzrle, live",
    capabilities: ["xbzrle"],
    parameters: { "xbzrle-cache-size": 64 * mebi },
  }),
  {
    name: "v5.2-q35-devices",
    qemu: "5.2",
    shows: "QEMU 5.2: the common devices on q35",
    args: [...bare("q35"), ...commonDevices],
  },
  guest("10.0", { name: "v10.0-live", shows: "QEMU 10.0: plain, live, with SWITCHOVER_START" }),
  guest("10.0", {
    name: "v10.0-xbzrle",
    shows: "QEMU 10.0: xbzrle, live",
    capabilities: ["xbzrle"],
    parameters: { "xbzrle-cache-size": 64 * mebi },
  }),
  {
    name: "v10.0-q35-devices",
    qemu: "10.0",
    shows: "QEMU 10.0: the common devices on q35",
    args: [...bare("q35"), ...commonDevices],
  },
  {
    name: "v10.0-pc-7.2",
    qemu: "10.0",
    shows: "QEMU 10.0 with machine type pc-i440fx-7.2: no SWITCHOVER_START",
    args: direct("pc-i440fx-7.2"),
    files: [fillFirmware],
    until: "guest",
  },
  {
    name: "v10.0-none",
    qemu: "10.0",
    shows: "QEMU 10.0: `-machine none`",
    args: words("-machine none -m 1 -nodefaults"),
    until: "nothing",
  },
  guest("11.1", { name: "v11.1-live", shows: "QEMU 11.1: plain, live" }),
  {
    name: "v11.1-q35-devices",
    qemu: "11.1",
    shows: "QEMU 11.1: the common devices on q35",
    args: [...bare("q35"), ...commonDevices],
  },
  {
    name: "v11.1-isa-vga",
    qemu: "11.1",
    shows: "QEMU 11.1: an ISA VGA adapter with its registers, SeaBIOS on its screen",
    args: words("-machine pc -m 8 -nodefaults -device isa-vga,vgamem_mb=1"),
    ranges: [{ start: 0xa0000, length: 0x20000 }],
  },
];

/** Entries of this list. */
export const versionEntries: readonly Entry[] = recipes.map(entry);
