/** Memory that belongs to devices: the VGA window, video memory and ROMs behind PCI base address registers. */
import {
  closeSync,
  copyFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { findLayout } from "../src/guest/layout/layout.js";
import { pciConfig, pciSegments } from "../src/guest/layout/pci.js";
import { physicalRange, readParts } from "../src/guest/read/range.js";
import { vgaWindow } from "../src/guest/layout/vga-window.js";
import type { QemuBinary } from "../tools/qemu/find.js";
import { makeWorkFolder, QemuProcess } from "../tools/qemu/process.js";
import { coreParts } from "./support/cores.js";
import { qevm } from "./support/program.js";
import { testEach, whenLoaded } from "./support/qemus.js";
import { saveStream } from "../tools/qemu/save-stream.js";
import { flatDocument } from "./support/document.js";

/** Byte n of plane p is 16 n + p, in a memory of 512 KiB. */
const VRAM = Uint8Array.from({ length: 1 << 19 }, (_, k) => ((k >> 2) * 16 + (k & 3)) & 0xff);

/** The window under registers given by number. */
function shown(sr4: number, gr: Readonly<Record<number, number>>, bankOffset = 0): Uint8Array {
  const all = Buffer.alloc(16);
  for (const [k, value] of Object.entries(gr)) all[Number(k)] = value;
  const sr = Buffer.of(0, 0, 0, 0, sr4, 0, 0, 0);
  return vgaWindow({ path: "", sr: sr.toString("hex"), gr: all.toString("hex"), bankOffset }, VRAM);
}

test("the VGA window by its registers", (t) => {
  const chained = shown(8, { 6: 4 });
  t.deepEqual([...chained.subarray(0, 6)], [0, 1, 2, 3, 16, 17], "chain 4: all of it in a row");
  t.deepEqual([chained[0xffff], chained[0x10000]], [VRAM[0xffff], 0xff], "64 KiB at 0xa0000");
  t.equal(shown(8, { 6: 0 })[0x1ffff], VRAM[0x1ffff], "128 KiB");
  t.deepEqual([...shown(8, { 6: 4 }, 0x10000).subarray(0, 2)], [VRAM[0x10000], VRAM[0x10001]], "the second bank");
  const plane = shown(0, { 4: 2, 6: 4 });
  t.deepEqual([...plane.subarray(0, 3)], [2, 18, 34], "plane 2");
  const text = shown(0, { 5: 0x10, 6: 0x0e });
  t.equal(text[0x17fff], 0xff, "nothing below 0xb8000");
  t.deepEqual([...text.subarray(0x18000, 0x18004)], [0, 1, 16, 17], "characters and attributes of planes 0 and 1");
  const mono = shown(0, { 5: 0x10, 6: 0x0a });
  t.deepEqual([mono[0x10000], mono[0x18000]], [0, 0xff], "0xb0000");
  // Colour 0 in plane 1 alone: where plane 1 has a zero bit the answer has a one.
  const compared = shown(0, { 2: 0, 5: 8, 6: 4, 7: 2 });
  t.deepEqual([...compared.subarray(0, 2)], [~1 & 0xff, ~17 & 0xff], "read mode 1");
  t.equal(shown(0, { 2: 0x0f, 5: 8, 6: 4, 7: 0 })[5], 0xff, "no plane is compared");
  t.end();
});

test("the window of an adapter with 32 TiB: the pages that it shows are read", async (t) => {
  const read: number[] = [];
  const pages = {
    pageSize: 4096,
    blocks: [{ name: "vga.vram", length: 2 ** 45 }],
    read: async (_: string, offset: number, into: Uint8Array) => {
      read.push(offset);
      into.fill((offset / 4096) & 0xff);
      await Promise.resolve();
    },
  };
  const [sr, gr] = [Buffer.alloc(8), Buffer.alloc(16)];
  [sr[4], gr[6]] = [8, 4];
  const registers = { path: "", sr: sr.toString("hex"), gr: gr.toString("hex"), bankOffset: 2 ** 31 };
  const layout = { segments: [], how: [], vga: { registers, block: "vga.vram" } };
  const parts = physicalRange(layout, 0xa1ff8, 16);
  const bytes: number[] = [];
  for await (const piece of readParts(pages, parts, layout.vga)) bytes.push(...piece);
  t.deepEqual(bytes, [1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2]);
  const all = Array.from({ length: 16 }, (_, k) => 2 ** 31 + k * 4096);
  t.deepEqual(read, all, "the 64 KiB of the bank");
});

/** A configuration space with registers set. */
function config(set: Readonly<Record<number, number>>): Uint8Array {
  const bytes = Buffer.alloc(64);
  for (const [at, value] of Object.entries(set)) bytes.writeUInt32LE(value, Number(at));
  return bytes;
}

/** The window of a Cirrus adapter in its own modes, under graphics registers given by number. */
function banked(gr: Readonly<Record<number, number>>, sr17 = 0): Uint8Array {
  const [sr, all] = [Buffer.alloc(256), Buffer.alloc(256)];
  [sr[7], sr[0x17]] = [1, sr17];
  for (const [k, value] of Object.entries(gr)) all[Number(k)] = value;
  const registers = { path: "0000:00:02.0", sr: sr.toString("hex"), gr: all.toString("hex"), bankOffset: 0 };
  return vgaWindow({ ...registers, cirrus: true }, VRAM);
}

test("a Cirrus adapter's window by its registers", (t) => {
  const cases: readonly [window: Uint8Array, at: number, byte: number | undefined, what: string][] = [
    [banked({ 9: 5 }), 1, VRAM[0x5001], "one bank of 64 KiB"],
    [banked({ 9: 5 }), 0xffff, VRAM[0x14fff], "to its end"],
    [banked({ 9: 5 }), 0x10000, 0xff, "and nothing behind"],
    [banked({ 9: 5, 10: 2, 11: 1 }), 0x8006, VRAM[0x2006], "two banks"],
    [banked({ 9: 5, 11: 0x20 }), 6, VRAM[0x14006], "in units of 16 KiB"],
    [banked({ 9: 5, 11: 2 }), 6, VRAM[0x5006 * 8], "addresses times 8"],
    [banked({ 9: 5, 11: 0x14 }), 6, VRAM[0x5006 * 16], "addresses times 16"],
    [banked({ 9: 0xff, 11: 0x22 }), 0x4000, 0xff, "the memory's end"],
    [banked({ 9: 5 }, 0x44), 6, VRAM[0x5006], "the blitter's registers elsewhere"],
  ];
  for (const [window, at, byte, what] of cases) t.equal(window[at], byte, what);
  t.end();
});

test("PCI memory is where enabled registers and bridges let it", (t) => {
  const MIB = 1 << 20;
  const vga = (more: Readonly<Record<number, number>>): Uint8Array =>
    config({ 0: 0x11111234, 4: 2, 0x10: 0xfd000008, ...more });
  const place = (
    configs: Record<string, Uint8Array>,
    name: string,
    length = MIB,
    others: { start: number; length: number }[] = [],
  ): number[] =>
    pciSegments(
      [{ name, length }],
      new Map(Object.entries(configs)),
      others.map((one) => ({ ...one, block: "pc.ram", offset: 0 })),
    ).map(({ start }) => start);
  const at = "0000:00:02.0";
  t.deepEqual(place({ [at]: vga({}) }, `${at}/vga.vram`), [0xfd000000]);
  t.deepEqual(place({ [at]: vga({ 4: 1 }) }, `${at}/vga.vram`), [], "memory is not enabled");
  t.deepEqual(place({ [at]: vga({ 0x10: 0 }) }, `${at}/vga.vram`), [], "not programmed");
  t.deepEqual(place({ [at]: vga({ 0x10: 0xc001 }) }, `${at}/vga.vram`), [], "an I/O register");
  t.deepEqual(place({ [at]: vga({ 0x10: 0xfff00000 }) }, `${at}/vga.vram`), [], "all ones: being measured");
  t.deepEqual(place({ [at]: vga({ 0x10: 0xc, 0x14: 0x80 }) }, `${at}/vga.vram`), [0x8000000000], "64 bits");
  t.deepEqual(place({ [at]: vga({}) }, `${at}/vga.vram`, MIB, [{ start: 0xfd0ff000, length: 4096 }]), [], "taken");
  t.deepEqual(place({ [at]: vga({ 0x30: 0xfe000001 }) }, `${at}/vga.rom`, 0x10000), [0xfe000000], "a ROM");
  t.deepEqual(place({ [at]: vga({ 0x30: 0xfe000000 }) }, `${at}/vga.rom`, 0x10000), [], "a ROM that is off");
  t.deepEqual(
    place({ [at]: config({ 0: 0x00b81013, 4: 2, 0x10: 0xfd000008 }) }, `${at}/vga.vram`),
    [],
    "Cirrus' is not mapped byte for byte",
  );
  const vmware = { [at]: config({ 0: 0x040515ad, 4: 2, 0x14: 0xf0000008, 0x18: 0xf8000008 }) };
  t.deepEqual(place(vmware, `${at}/vga.vram`), [0xf0000000], "VMware's second register");
  t.deepEqual(place(vmware, "vmsvga.fifo", 0x10000), [0xf8000000], "and its third");
  t.deepEqual(
    place({ [at]: vga({ 8: 0x03000000 }) }, "vga.vram"),
    [0xfd000000],
    "a name without path, of old machine types",
  );
  t.deepEqual(place({}, "vmsvga.fifo", 0x10000), [], "no such adapter");
  const behind = `${at}:01.0`;
  const bridge = (more: Readonly<Record<number, number>>): Uint8Array => config({ 0: 0x12348086, 4: 2, ...more });
  // Memory base and limit at 0x20, prefetchable ones at 0x24 with the upper halves at 0x28 and 0x2c.
  const open = { [at]: bridge({ 0x20: 0xfdf0fd00 }), [behind]: vga({}) };
  t.deepEqual(place(open, `${behind}/vga.vram`), [0xfd000000], "behind a bridge");
  t.deepEqual(place({ ...open, [at]: bridge({ 0x20: 0xfcf0fc00 }) }, `${behind}/vga.vram`), [], "outside its windows");
  t.deepEqual(
    place({ ...open, [at]: bridge({ 4: 0, 0x20: 0xfdf0fd00 }) }, `${behind}/vga.vram`),
    [],
    "bridge disabled",
  );
  t.deepEqual(place({ [behind]: vga({}) }, `${behind}/vga.vram`), [], "no such bridge");
  const far = {
    [at]: bridge({ 0x20: 0x0000fff0, 0x24: 0xfff10001, 0x28: 0x80, 0x2c: 0x80 }),
    [behind]: vga({ 0x10: 0xc, 0x14: 0x80 }),
  };
  t.deepEqual(place(far, `${behind}/vga.vram`), [0x8000000000], "its prefetchable window");
  t.equal(pciConfig("timer", new Uint8Array(300)), undefined);
  t.equal(pciConfig(`${at}/vga`, new Uint8Array(300)), undefined, "no version, no vendor");
  t.equal(pciConfig(`${at}/vga`, Buffer.concat([Buffer.of(0, 0, 0, 2), vga({})]))?.path, at);
  t.end();
});

test("an open SMRAM shows the RAM behind the VGA window", (t) => {
  const blocks = [
    { name: "pc.ram", length: 64 << 20 },
    { name: "0000:00:02.0/vga.vram", length: 1 << 24 },
  ];
  const ends = (smram: number): number | undefined =>
    findLayout({ machine: "pc-i440fx-7.2", blocks, smram }).segments[0]?.length;
  t.equal(ends(0x02), 0xa0000);
  t.equal(ends(0x4a), 0xc0000);
  t.end();
});

function readAt(file: string, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(file, "r");
  readSync(fd, bytes, 0, length, at);
  closeSync(fd);
  return bytes;
}

const ADAPTERS: readonly [string, string][] = [
  ["pc", "-vga std"],
  ["q35", "-vga std -device bochs-display"],
  ["pc", "-vga qxl"],
  ["pc", "-vga vmware"],
  ["q35", "-vga virtio -device secondary-vga"],
  ["pc", "-vga cirrus"],
  ["q35", "-vga cirrus -device secondary-vga"],
  ["pc", "-device isa-vga"],
  [
    "q35",
    "-vga std -object memory-backend-ram,id=shared,size=1M,share=on -device ivshmem-plain,memdev=shared,master=on",
  ],
];

/** Starts QEMU; where the package with one of its devices is not installed the test is skipped, and undefined. */
async function startOrSkip(t: test.Test, qemu: QemuBinary, args: string[]): Promise<QemuProcess | undefined> {
  try {
    return await QemuProcess.start(qemu, args);
  } catch (error) {
    const missing = /[^:]* not available\. Perhaps you want to install .*/u.exec(String(error))?.[0];
    if (missing === undefined) throw error;
    t.skip(`QEMU ${qemu.version}:${missing}`);
    return undefined;
  }
}

for (const [machine, display] of ADAPTERS) {
  testEach(`device memory is what QEMU shows: ${machine} ${display}`, async (t, qemu) => {
    const args = ["-machine", machine, "-m", "16", "-nodefaults", ...display.split(" ")];
    const vm = await startOrSkip(t, qemu, args);
    if (vm === undefined) return;
    const work = mkdtempSync(join(tmpdir(), "qevm-device-memory-"));
    try {
      // SeaBIOS has written its text when it has found nothing to boot.
      for (let k = 0; k < 150; k++) {
        if (/HLT=1/u.test(await vm.human("info registers"))) break;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await vm.execute("stop");
      await vm.human('pmemsave 0xa0000 0x20000 "$DIR/window"');
      await vm.execute("dump-guest-memory", { paging: false, protocol: "file:$DIR/core" });
      const stream = await saveStream(vm);
      const hasIsaRegisters = (await qevm(["devices", stream])).stdout.includes("vga-isa/0");
      const raw = join(work, "raw");
      const said = await qevm(["extract", stream, "--format", "raw", "--out", raw]);
      t.equal(said.code, 0);
      const window = readFileSync(vm.file("window"));
      // The BIOS of QEMU 5.2 has no picture for an ISA adapter.
      if (!display.includes("isa-vga") || hasIsaRegisters)
        t.ok(
          window.some((byte) => byte !== 0 && byte !== 0xff),
          "there is something on the screen",
        );
      const known = !display.includes("isa-vga") || hasIsaRegisters;
      if (known) t.ok(readAt(raw, 0xa0000, 0x20000).equals(window), "the VGA window in a raw file");
      else t.match(said.stdout, /QEMU does not save the registers of an ISA adapter/u);
      const asked = await qevm(["read", stream, "--physical", "0xb7ff0", "--length", "0x8020", "--json"]);
      if (known) {
        const { hex: bytes } = flatDocument(asked.stdout) as { hex: string };
        t.equal(bytes, readAt(raw, 0xb7ff0, 0x8020).toString("hex"), "and read");
      } else {
        t.match(asked.stderr, /no memory at address 0xb7ff0/u, "nothing is read there");
      }
      const core = join(work, "core");
      t.equal((await qevm(["extract", stream, "--format", "elf", "--out", core])).code, 0);
      const truth = readFileSync(vm.file("core"));
      const mine = readFileSync(core);
      const [theirs, ours] = [coreParts(truth).loads, coreParts(mine).loads];
      t.deepEqual(
        ours.map(({ address, length }) => [address, length]),
        theirs.map(({ address, length }) => [address, length]),
        `${theirs.length} ranges`,
      );
      for (const { at, address, length } of theirs) {
        const one = ours.find((load) => load.address === address);
        const same =
          one !== undefined && mine.subarray(one.at, one.at + length).equals(truth.subarray(at, at + length));
        t.ok(same, `contents from 0x${address.toString(16)}`);
      }
    } finally {
      await vm.close();
      rmSync(work, { recursive: true, force: true });
    }
  });
}

/** Registers of a Cirrus adapter in its own modes: SR7, SR17, GR5, GR9, GRA, GRB. */
const CIRRUS: readonly [what: string, sr7: number, sr17: number, gr: Readonly<Record<number, number>>][] = [
  ["one bank", 1, 0x20, { 9: 5 }],
  ["two banks", 1, 0x20, { 9: 0x41, 10: 0x83, 11: 1 }],
  ["banks of 16 KiB", 1, 0x20, { 9: 3, 10: 0x81, 11: 0x21 }],
  ["the last bank", 1, 0x20, { 9: 0xff, 11: 0x20 }],
  ["two banks, one after the end", 1, 0x20, { 9: 0xff, 10: 0xfc, 11: 0x21 }],
  ["addresses times 8", 1, 0x20, { 9: 5, 11: 2 }],
  ["addresses times 16, banks of 16 KiB", 1, 0x20, { 9: 5, 11: 0x34 }],
  ["the last bank, addresses times 8", 1, 0x20, { 9: 0xff, 11: 0x22 }],
  ["the blitter's registers at the end of the frame buffer", 1, 0x64, { 9: 9 }],
  ["writing in colours", 1, 0x20, { 5: 4, 9: 7, 11: 4 }],
  ["a VGA in text mode", 0, 0x20, { 4: 1, 5: 0x10, 6: 0x0e }],
  ["a VGA that compares colours", 0, 0x20, { 0: 3, 2: 5, 5: 8, 6: 5, 7: 11 }],
];

function ranges(core: string): number[][] {
  return coreParts(readFileSync(core)).loads.map(({ address, length }) => [address, length]);
}

/** The contents of all ranges, one after the other. */
function loaded(core: Buffer): Buffer {
  return Buffer.concat(coreParts(core).loads.map(({ at, length }) => core.subarray(at, at + length)));
}

testEach("a Cirrus adapter's banks and memory are what QEMU shows", async (t, qemu) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-cirrus-"));
  test.onFinish(() => rmSync(work, { recursive: true, force: true }));
  const args = "-machine pc -m 4 -nodefaults -vga cirrus".split(" ");
  const folder = join(work, "unpacked");
  const source = await QemuProcess.start(qemu, args);
  try {
    for (let k = 0; k < 150; k++) {
      if (/HLT=1/u.test(await source.human("info registers"))) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    t.equal((await qevm(["unpack", await saveStream(source), folder])).code, 0);
  } finally {
    await source.close();
  }
  const vram = readdirSync(join(folder, "ram")).find((name) => name.endsWith("vga.vram"))!;
  let state = 1;
  const noise = Uint8Array.from(
    { length: 4 << 20 },
    () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0) >>> 24,
  );
  writeFileSync(join(folder, "ram", vram), noise);
  const file = readdirSync(join(folder, "devices")).find((name) => name.includes("cirrus_vga"))!;
  for (const [what, sr7, sr17, gr] of CIRRUS) {
    const path = join(folder, "devices", file);
    const device = JSON.parse(readFileSync(path, "utf8")) as {
      fields: { cirrus_vga: Record<string, string | number> };
    };
    const vga = device.fields.cirrus_vga;
    const sr = Buffer.from(String(vga["vga.sr"]), "hex");
    [sr[7], sr[0x17]] = [sr7, sr17];
    const registers = Buffer.alloc(256);
    for (const [k, value] of Object.entries(gr)) registers[Number(k)] = value;
    Object.assign(vga, {
      "vga.sr": sr.toString("hex"),
      "vga.gr": registers.toString("hex", 2),
      cirrus_shadow_gr0: gr[0] ?? 0,
    });
    writeFileSync(path, JSON.stringify(device));
    const stream = join(work, "stream");
    t.equal((await qevm(["pack", folder, "--out", stream])).code, 0);
    const inside = makeWorkFolder(qemu);
    copyFileSync(stream, join(inside, "incoming"));
    const vm = await QemuProcess.start(qemu, [...args, "-S", "-incoming", "exec:cat $DIR/incoming"], inside);
    try {
      await whenLoaded(vm);
      await vm.human('pmemsave 0xa0000 0x20000 "$DIR/window"');
      await vm.execute("dump-guest-memory", { paging: false, protocol: "file:$DIR/core" });
      const [raw, core] = [join(work, "raw"), join(work, "core")];
      t.equal((await qevm(["extract", stream, "--format", "raw", "--out", raw])).code, 0);
      const [window, mine] = [readFileSync(vm.file("window")), readAt(raw, 0xa0000, 0x20000)];
      t.equal(
        mine.findIndex((byte, k) => byte !== window[k]),
        -1,
        `the window: ${what}`,
      );
      t.equal((await qevm(["extract", stream, "--format", "elf", "--out", core])).code, 0);
      t.deepEqual(ranges(core), ranges(vm.file("core")), `ranges of a core: ${what}`);
      const [ours, theirs] = [core, vm.file("core")].map((one) => loaded(readFileSync(one)));
      t.ok(ours!.equals(theirs!), `contents of a core: ${what}`);
    } finally {
      await vm.close();
    }
  }
});
