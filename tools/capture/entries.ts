/** The corpus, entry by entry. */
import { dirtyGuest, fillGuest, type Region } from "../guest/patterns.js";
import { entry, type Entry, type WorkFile } from "./entry.js";

const mebi = 1 << 20;
const filled: readonly Region[] = [
  { start: mebi, end: 2 * mebi },
  { start: 6 * mebi, end: 6.125 * mebi },
];
const dirtied: readonly Region[] = [
  { start: mebi, end: 1.25 * mebi },
  { start: 2 * mebi, end: 3 * mebi },
];

const fill: WorkFile = { name: "boot.img", content: () => fillGuest(filled) };
const dirty: WorkFile = { name: "boot.img", content: () => dirtyGuest(dirtied) };
const boot = ["-drive", "file=$DIR/boot.img,format=raw,if=ide"];

/** pc without network, sound or display: everything small. */
const pc = (machine: string, memory = 8): string[] => [
  "-machine",
  machine,
  "-m",
  String(memory),
  "-nodefaults",
  "-vga",
  "none",
];

const plain: readonly Entry[] = [
  entry({
    name: "pc-firmware",
    shows: "pc with its default devices, firmware only, stopped",
    args: ["-machine", "pc", "-m", "8"],
  }),
  entry({
    name: "pc-paused-start",
    shows: "pc that never ran (`-S`): the smallest devices",
    args: [...pc("pc"), "-S"],
    until: "nothing",
  }),
  entry({
    name: "pc-fill",
    shows: "pc with a guest that filled memory with known patterns and halted",
    args: [...pc("pc", 16), ...boot],
    files: [fill],
    until: "guest",
  }),
  entry({
    name: "q35-firmware",
    shows: "q35 with its default devices, firmware only",
    args: ["-machine", "q35", "-m", "8"],
  }),
  entry({
    name: "microvm-firmware",
    shows: "microvm, firmware only",
    args: ["-machine", "microvm", "-m", "8", "-nodefaults"],
  }),
  entry({
    name: "isapc-firmware",
    shows: "isapc, firmware only",
    args: ["-machine", "isapc", "-m", "8", "-nodefaults"],
  }),
  entry({
    name: "machine-none",
    shows: "`-machine none`: RAM, timer and globalstate only",
    args: ["-machine", "none", "-m", "4"],
    until: "nothing",
  }),
  entry({
    name: "pc-2.3",
    shows: "machine type 2.3: no configuration section, no footers",
    args: [...pc("pc-i440fx-2.3"), ...boot],
    files: [fill],
    until: "guest",
  }),
  entry({
    name: "pc-live",
    shows: "dirtying guest captured live over several rounds; pages repeat, some turn to zero after data",
    args: [...pc("pc"), ...boot],
    files: [dirty],
    until: "guest",
    rounds: 5,
  }),
  entry({
    name: "compress-1",
    shows: "compress, level 1, 1 thread, stopped guest",
    args: [...pc("pc"), ...boot],
    files: [fill],
    until: "guest",
    capabilities: ["compress"],
    parameters: { "compress-level": 1, "compress-threads": 1 },
  }),
  entry({
    name: "xbzrle-live",
    shows: "xbzrle with a cache larger than memory, live guest",
    args: [...pc("pc"), ...boot],
    files: [dirty],
    until: "guest",
    rounds: 6,
    capabilities: ["xbzrle"],
    parameters: { "xbzrle-cache-size": 64 * mebi },
  }),
];

/** Every entry, in the order of the table in corpus/README.md. */
export const entries: readonly Entry[] = [...plain];
