/** Where blocks are, from made-up facts: the tables of QEMU's sources and documentation are the judge here. */
import test from "tape";
import { findLayout } from "../src/guest/layout/layout.js";
import type { Layout, LayoutFacts } from "../src/guest/layout-types.js";
import { numaNodes } from "../src/guest/layout/srat.js";
import { refusal } from "./support/bytes.js";
import { processorClock } from "./support/processor-time.js";

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

const SMALL_BLOCKS = [
  { name: "pc.bios", length: 256 * KIB },
  { name: "pc.rom", length: 128 * KIB },
  { name: "/rom@etc/acpi/tables", length: 128 * KIB },
];

function layoutOf(machine: string | undefined, ram: number, more: Partial<LayoutFacts> = {}): Layout {
  return findLayout({ machine, blocks: [{ name: "pc.ram", length: ram }, ...SMALL_BLOCKS], ...more });
}

/** Where the parts of main memory above 1 MiB begin and how long they are. */
function parts({ segments }: Layout, block = "pc.ram"): number[][] {
  return segments.filter((one) => one.block === block && one.start >= MIB).map(({ start, length }) => [start, length]);
}

// Machine type, memory, bytes below 4 GiB. hw/i386/pc_piix.c, pc_q35.c, microvm.c (7.2).
const RULES: readonly [string | undefined, number, number][] = [
  ["pc-i440fx-7.2", 2 * GIB, 2 * GIB],
  ["pc-i440fx-7.2", 0xd0000000, 0xd0000000],
  ["pc-i440fx-7.2", 0xe0000000, 3 * GIB],
  ["pc-i440fx-7.2", 8 * GIB, 3 * GIB],
  ["pc-i440fx-1.7", 8 * GIB, 0xe0000000],
  ["pc-1.3", 8 * GIB, 0xe0000000],
  ["pc-q35-7.2", 2.5 * GIB, 2.5 * GIB],
  ["pc-q35-7.2", 0xb0000000, 2 * GIB],
  ["pc-q35-10.0", 16 * GIB, 2 * GIB],
  ["microvm", 3 * GIB, 3 * GIB],
  ["microvm", 4 * GIB, 3 * GIB],
  [undefined, 8 * GIB, 3 * GIB],
];

for (const [machine, ram, low] of RULES) {
  test(`${machine ?? "no machine type"} with ${ram / GIB} GiB has 0x${low.toString(16)} below 4 GiB`, (t) => {
    const layout = layoutOf(machine, ram);
    const all = layout.segments.filter(({ block }) => block === "pc.ram");
    const below = all.findLast(({ start }) => start < 4 * GIB)!;
    t.equal(below.start + below.length, low);
    const above = all.filter(({ start }) => start >= 4 * GIB);
    const split = ram > low ? [{ start: 4 * GIB, length: ram - low, block: "pc.ram", offset: low }] : [];
    t.deepEqual(above, split);
    const said = layout.how.filter((line) => /below 4 GiB/u.test(line));
    t.equal(said.length, ram > 2 * GIB ? 1 : 0, "said");
    if (machine === undefined)
      t.match(said[0] ?? "", /^guess: .*no machine type in the stream/u, "a guess is called a guess");
    else t.doesNotMatch(said.join(), /guess/u);
    t.end();
  });
}

/** CMOS as the machine fills it: 0x34 is in 64 KiB above 16 MiB, 0x5b in 64 KiB above 4 GiB. */
function cmos(low: number, high: number): Uint8Array {
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  view.setUint16(0x34, (low - 16 * MIB) / (64 * KIB), true);
  view.setUint16(0x5b, (high / (64 * KIB)) & 0xffff, true);
  view.setUint8(0x5d, Math.floor(high / (64 * KIB)) >> 16);
  return bytes;
}

test("the RTC's CMOS tells what max-ram-below-4g moved", (t) => {
  const moved = layoutOf("pc-q35-7.2", 6 * GIB, { cmos: cmos(GIB, 5 * GIB) });
  t.deepEqual(parts(moved), [
    [MIB, GIB - MIB],
    [4 * GIB, 5 * GIB],
  ]);
  t.ok(moved.how.includes("0x40000000 bytes below 4 GiB, as the RTC's CMOS says"));
  const huge = layoutOf("pc-i440fx-7.2", 6 * 1024 * GIB, { cmos: cmos(3 * GIB, 6 * 1024 * GIB - 3 * GIB) });
  t.deepEqual(parts(huge)[1], [4 * GIB, 6 * 1024 * GIB - 3 * GIB], "more than 1 TiB needs the third byte");
  const damaged = layoutOf("pc-i440fx-7.2", 6 * GIB, { cmos: cmos(GIB, 2 * GIB) });
  t.deepEqual(parts(damaged)[1], [4 * GIB, 3 * GIB], "does not add up: the machine's rule");
  t.end();
});

/** Block and offset of the byte that the guest sees at an address. */
function at({ segments }: Layout, address: number): string {
  const one = segments.find(({ start, length }) => start <= address && address < start + length);
  return one === undefined ? "nothing" : `${one.block}+0x${(one.offset + address - one.start).toString(16)}`;
}

test("the shadow area follows the PAM registers", (t) => {
  const closed = layoutOf("pc-i440fx-7.2", 64 * MIB, { pam: new Uint8Array(7) });
  t.equal(at(closed, 0xc0000), "pc.rom+0x0");
  t.equal(at(closed, 0xdffff), "pc.rom+0x1ffff");
  t.equal(at(closed, 0xe0000), "pc.bios+0x20000", "the last 128 KiB of the firmware");
  t.equal(at(closed, 0xfffff), "pc.bios+0x3ffff");
  t.equal(at(closed, 0xfffc0000), "pc.bios+0x0");
  // PAM0 bits 4-5: 0xf0000; PAM1 low half 0xc0000, high half 0xc4000, ... ; bit 0 of each: reads go to RAM.
  const open = layoutOf("pc-i440fx-7.2", 64 * MIB, { pam: Uint8Array.of(0x10, 0x01, 0x10, 0, 0, 0, 0x20) });
  t.equal(at(open, 0xf0000), "pc.ram+0xf0000");
  t.equal(at(open, 0xc0000), "pc.ram+0xc0000");
  t.equal(at(open, 0xc4000), "pc.rom+0x4000");
  t.equal(at(open, 0xc8000), "pc.rom+0x8000");
  t.equal(at(open, 0xcc000), "pc.ram+0xcc000");
  t.equal(at(open, 0xec000), "pc.bios+0x2c000", "write-only RAM is not read");
  const unknown = layoutOf("pc-i440fx-7.2", 64 * MIB);
  t.ok(
    unknown.how.some((line) => /no host bridge/u.test(line)),
    "said",
  );
  t.equal(at(unknown, 0xf0000), "pc.bios+0x30000");
  t.end();
});

test("machines with one run of memory", (t) => {
  const one = (machine: string, name: string): unknown => {
    const { segments } = findLayout({
      machine,
      blocks: [
        { name, length: 8 * GIB },
        { name: "virt.flash0", length: MIB },
      ],
    });
    return segments.filter(({ block }) => block === name);
  };
  const whole = (block: string, start: number): unknown => [{ start, length: 8 * GIB, block, offset: 0 }];
  t.deepEqual(one("virt-7.2", "mach-virt.ram"), whole("mach-virt.ram", GIB));
  t.deepEqual(one("virt", "riscv_virt_board.ram"), whole("riscv_virt_board.ram", 2 * GIB));
  t.deepEqual(one("s390-ccw-virtio-7.2", "s390.ram"), whole("s390.ram", 0));
  t.deepEqual(one("pseries-7.2", "ppc_spapr.ram"), whole("ppc_spapr.ram", 0));
  t.end();
});

test("main memory is no block with a memory module's name, as libvirt gives them", (t) => {
  const told = new Uint8Array(128);
  // 128 MiB: what is above 16 MiB, in units of 64 KiB.
  new DataView(told.buffer).setUint16(0x34, (112 * MIB) / (64 * 1024), true);
  const rows: [module: number, memory: Uint8Array | undefined, how: RegExp][] = [
    [128 * MIB, told, /^guess: main memory is "ram-node0", .* RTC's CMOS says, and the only one without/u],
    [256 * MIB, undefined, /^guess: main memory is "ram-node0" by its name$/u],
  ];
  for (const [length, memory, how] of rows) {
    const blocks = [{ name: "memdimm0", length }, { name: "ram-node0", length: 128 * MIB }, ...SMALL_BLOCKS];
    const found = findLayout({ machine: "pc-q35-7.2", blocks, cmos: memory });
    t.ok(
      found.how.some((line) => how.test(line)),
      found.how.join("; "),
    );
    t.equal(parts(found, "ram-node0")[0]?.[0], MIB, "it is at the first megabyte");
    t.equal(parts(found, "memdimm0")[0]?.[0], 4 * GIB);
  }
  t.end();
});

test("what the stream does not say is called a guess", async (t) => {
  const nodes = [10, 2, 1].map((n) => ({ name: `ram-node${n}`, length: GIB }));
  const numa = findLayout({ machine: "pc-q35-7.2", blocks: [...nodes, ...SMALL_BLOCKS] });
  t.deepEqual(
    ["ram-node1", "ram-node2", "ram-node10"].flatMap((name) => parts(numa, name)),
    [
      [MIB, GIB - MIB],
      [GIB, GIB],
      [4 * GIB, GIB],
    ],
    "nodes by number, the third one above 4 GiB",
  );
  t.ok(numa.how.includes('guess: main memory is "ram-node1", "ram-node2", "ram-node10" in this order'));
  const named = findLayout({ machine: "pc-i440fx-7.2", blocks: [{ name: "mine", length: 64 * MIB }, ...SMALL_BLOCKS] });
  t.ok(named.how.includes('guess: main memory is the largest block, "mine"'));
  const dimms = [
    { name: "dimm0", length: 130 * MIB },
    { name: "dimm1", length: 256 * MIB },
  ];
  const hot = layoutOf("pc-i440fx-7.2", 5.5 * GIB, {
    blocks: [{ name: "pc.ram", length: 5.5 * GIB }, ...SMALL_BLOCKS, ...dimms],
  });
  t.deepEqual(parts(hot, "dimm0"), [[7 * GIB, 130 * MIB]], "the first GiB behind main memory");
  t.deepEqual(parts(hot, "dimm1"), [[7 * GIB + 130 * MIB, 256 * MIB]], "right after it");
  t.equal(hot.how.filter((line) => /^guess: "dimm\d" is hot-plugged/u.test(line)).length, 2);
  const none = await refusal(() => findLayout({ machine: "none", blocks: SMALL_BLOCKS }));
  t.equal(none?.code, "unsupported");
  t.end();
});

test("tens of thousands of hot-plugged blocks are placed in time that grows with them", (t) => {
  const count = 30_000;
  const blocks = Array.from({ length: count }, (_, i) => ({ name: `0000:00:02.0/m${i}`, length: 4096 }));
  const virtioMem = new Map([["0000:00:03.0", 5 * GIB]]);
  const told = { name: "0000:00:03.0/mem", length: 4 * MIB };
  const spent = processorClock();
  const layout = layoutOf("pc-i440fx-7.2", 1 * GIB, {
    blocks: [{ name: "pc.ram", length: GIB }, ...blocks, told],
    virtioMem,
  });
  t.ok(spent() < 5000, "soon");
  const starts = layout.segments.filter(({ block }) => block.startsWith("0000:00:02.0/")).map(({ start }) => start);
  t.equal(starts.length, count);
  const free = Array.from({ length: count }, (_, i) => 4 * GIB + 2 * MIB * (i < 512 ? i : i + 2));
  t.deepEqual(starts, free, "each at the next place, after what is told");
  t.end();
});

/** An SRAT as QEMU writes it: ranges of node, base, length. */
function srat(ranges: readonly (readonly [number, number, number, number?])[]): Uint8Array {
  const bytes = Buffer.alloc(48 + 16 + 40 * ranges.length);
  bytes.write("SRAT");
  bytes.writeUInt32LE(bytes.length, 4);
  // A processor's entry in front, to be passed over.
  bytes.set([0, 16], 48);
  ranges.forEach(([node, base, length, flags = 1], k) => {
    const entry = 64 + 40 * k;
    bytes.set([1, 40], entry);
    bytes.writeUInt32LE(node, entry + 2);
    bytes.writeBigUInt64LE(BigInt(base), entry + 8);
    bytes.writeBigUInt64LE(BigInt(length), entry + 16);
    bytes.writeUInt32LE(flags, entry + 28);
  });
  return bytes;
}

test("NUMA nodes are told by the SRAT", (t) => {
  const tables = Buffer.concat([
    Buffer.from("FACP with SRAT in it is not a table"),
    srat([
      [1, 2 * GIB, GIB],
      [0, 0, 0xa0000],
      [0, MIB, 2 * GIB - MIB],
      [1, 4 * GIB, GIB],
      [2, 8 * GIB, 64 * GIB, 3],
      [3, 0, 0, 0],
      [1, 80 * GIB, GIB, 5],
    ]),
  ]);
  const nodes = numaNodes(tables);
  t.deepEqual(
    nodes,
    [2 * GIB, 2 * GIB],
    "by node, the first megabyte's hole counted, room for more and NVDIMMs left out",
  );
  t.equal(numaNodes(Buffer.from("SRAT")), undefined);
  t.equal(numaNodes(srat([])), undefined);
  const blocks = [
    { name: "b", length: 3 * GIB },
    { name: "a", length: GIB },
    { name: "dimm", length: GIB / 2 },
    ...SMALL_BLOCKS,
  ];
  const sure = findLayout({ machine: "pc-q35-7.2", blocks, nodes: [3 * GIB, GIB], cmos: cmos(2 * GIB, 2 * GIB) });
  t.deepEqual(parts(sure, "b"), [
    [MIB, 2 * GIB - MIB],
    [4 * GIB, GIB],
  ]);
  t.deepEqual(parts(sure, "a"), [[5 * GIB, GIB]]);
  t.equal(sure.how[0], 'main memory is "b", "a" by their lengths in the SRAT');
  t.match(sure.how.join("\n"), /guess: "dimm" is hot-plugged/u);
  const equal = [{ name: "node10", length: GIB }, { name: "node9", length: GIB }, ...SMALL_BLOCKS];
  const unsure = findLayout({ machine: "pc-q35-7.2", blocks: equal, nodes: [GIB, GIB] });
  t.match(unsure.how[0] ?? "", /^guess: main memory is "node9", "node10" in this order, by their names/u);
  const other = findLayout({ machine: "pc-q35-7.2", blocks: equal, nodes: [GIB, 7 * GIB] });
  t.match(other.how[0] ?? "", /^guess: main memory is "node9", "node10" in this order$/u, "an SRAT that does not fit");
  t.end();
});

test("virtio-mem and DIMMs beside NUMA nodes of the same length", (t) => {
  const blocks = [
    { name: "dimm", length: 64 * MIB },
    { name: "0000:00:01.0/vm", length: 64 * MIB },
    { name: "m0", length: 32 * MIB },
    { name: "m1", length: 32 * MIB },
    { name: "nv", length: 16 * MIB },
    ...SMALL_BLOCKS,
  ];
  const nodes = [32 * MIB, 32 * MIB];
  const virtioMem = new Map([["0000:00:01.0", 4 * GIB + 64 * MIB]]);
  const told = findLayout({ machine: "pc-q35-10.0", blocks, nodes, virtioMem, cmos: cmos(64 * MIB, 0) });
  t.deepEqual(parts(told, "m1"), [[32 * MIB, 32 * MIB]], "the nodes are main memory");
  t.deepEqual(parts(told, "0000:00:01.0/vm"), [[4 * GIB + 64 * MIB, 64 * MIB]], "virtio-mem is where its device says");
  t.deepEqual(parts(told, "dimm"), [[4 * GIB, 64 * MIB]], "the others go round it");
  t.deepEqual(parts(told, "nv"), [[4 * GIB + 128 * MIB, 16 * MIB]]);
  t.ok(told.how.includes('"0000:00:01.0/vm" is at 0x104000000, as its virtio-mem device says'));
  const one = [{ name: "0000:00:01.0/vm", length: GIB }, { name: "mine", length: 64 * MIB }, ...SMALL_BLOCKS];
  t.deepEqual(
    parts(findLayout({ machine: "pc-q35-10.0", blocks: one }), "mine")[0],
    [MIB, 63 * MIB],
    "never main memory",
  );
  t.end();
});

test("one block of the length that the CMOS says is main memory", (t) => {
  const blocks = [{ name: "dimm", length: GIB }, { name: "mine", length: 64 * MIB }, ...SMALL_BLOCKS];
  const found = findLayout({ machine: "pc-i440fx-7.2", blocks, cmos: cmos(64 * MIB, 0) });
  t.deepEqual(parts(found, "mine"), [[MIB, 63 * MIB]]);
  t.match(found.how.join("\n"), /main memory is "mine", the block of the length that the RTC's CMOS says/u);
  const tiny = new Uint8Array(128);
  new DataView(tiny.buffer).setUint16(0x17, 7 * 1024, true);
  const small = findLayout({
    machine: "pc-i440fx-7.2",
    blocks: [
      { name: "a", length: 6 * MIB },
      { name: "b", length: 2 * MIB },
    ],
    cmos: tiny,
  });
  t.match(small.how[0] ?? "", /^guess: main memory is "a", "b" in this order/u, "8 MiB in all, below what 0x34 counts");
  t.end();
});

test("microvm's firmware is below the first megabyte too", (t) => {
  const blocks = [
    { name: "microvm.ram", length: 64 * MIB },
    { name: "pc.bios", length: 64 * KIB },
  ];
  const layout = findLayout({ machine: "microvm", blocks });
  t.equal(at(layout, 0xeffff), "microvm.ram+0xeffff");
  t.equal(at(layout, 0xf0000), "pc.bios+0x0");
  t.equal(at(layout, 0x100000), "microvm.ram+0x100000");
  t.equal(at(findLayout({ machine: "microvm", blocks: blocks.slice(0, 1) }), 0xf0000), "microvm.ram+0xf0000");
  t.end();
});
