/** Guest-physical memory on captures of the corpus, whose stopped sources told what they held: no QEMU is needed here. */
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { cpuRegisters, type CpuRegisters } from "../src/guest/cores/cpu.js";
import { extractPhysical } from "../src/guest/files/extract-physical.js";
import { MemorySource } from "../src/bytes/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { corpusEntry, listCorpus } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { coreParts, limeRanges, type Piece } from "./support/cores.js";
import { shownRegisters } from "./support/info-registers.js";
import { sha256Of } from "../tools/sha256.js";

const work = mkdtempSync(join(tmpdir(), "qevm-physical-corpus-"));
const out = join(work, "out");
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

/** Bytes of a file that may be many GiB of holes. */
function fileBytes(path: string, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(path, "r");
  readSync(fd, bytes, 0, length, at);
  closeSync(fd);
  return bytes;
}

/** Main memory shared with another process stays out of the stream: there is nothing to compare. */
const corpus = listCorpus().filter(({ name, truth }) => name !== "ignore-shared" && truth.pmemsave.length > 0);

test("raw: every capture's memory is what pmemsave showed", async (t) => {
  for (const entry of corpus) {
    const result = await extractPhysical(new MemorySource(entry.open()), out, { format: "raw" });
    for (const { start, length, sha256: truth } of entry.truth.pmemsave) {
      t.equal(sha256Of(fileBytes(out, start, length)), truth, `${entry.name}: from 0x${start.toString(16)}`);
    }
    t.equal(result.machine ?? entry.capture.machine, entry.capture.machine, "machine");
    t.equal(result.fileLength, statSync(out).size, "bytes");
  }
  t.deepEqual(readdirSync(work), ["out"], "nothing is left behind");
  t.end();
});

/** Bytes of `pieces` from one guest-physical address on; undefined where there is none. */
function bytesAt(file: Buffer, pieces: readonly Piece[], start: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (const { at, address, length: all } of pieces) {
    const from = Math.max(start, address);
    const to = Math.min(start + length, address + all);
    if (from < to) file.copy(bytes, from - start, at + from - address, at + to - address);
  }
  return bytes;
}

for (const name of ["pc-fill", "live-q35", "q35-firmware", "numa", "microvm-firmware", "isapc-bare", "v5.2-live"]) {
  test(`elf and lime hold the same memory: ${name}`, async (t) => {
    const entry = corpusEntry(name);
    await extractPhysical(new MemorySource(entry.open()), out, { format: "elf" });
    const core = readFileSync(out);
    const { loads, notes } = coreParts(core);
    const lime = await extractPhysical(new MemorySource(entry.open()), out, { format: "lime" });
    const file = readFileSync(out);
    const ranges = limeRanges(file);
    t.equal(lime.fileLength, file.length, "bytes");
    t.deepEqual(
      ranges.map(({ address, length }) => [address, length]),
      loads.map(({ address, length }) => [address, length]),
      "the same ranges",
    );
    for (const { start, length, sha256: truth } of entry.truth.pmemsave) {
      t.equal(sha256Of(bytesAt(core, loads, start, length)), truth, `elf from 0x${start.toString(16)}`);
      t.equal(sha256Of(bytesAt(file, ranges, start, length)), truth, `lime from 0x${start.toString(16)}`);
    }
    const bios = entry.truth.blocks.find(({ name: block }) => block === "pc.bios");
    const top = loads.at(-1);
    t.equal(top === undefined ? 0 : top.address + top.length, 2 ** 32, "firmware ends at 4 GiB");
    t.equal(sha256Of(core.subarray(top?.at)), bios?.sha256, "and is the block");
    t.deepEqual([...new Set(notes.map((note) => `${note.name} ${note.type}`))], ["CORE 1", "QEMU 0"], "notes");
    t.end();
  });
}

async function registersOf(bytes: Uint8Array): Promise<CpuRegisters[]> {
  const cpus: CpuRegisters[] = [];
  for await (const item of new StreamReader(new MemorySource(bytes))) {
    if (item.kind !== "section" || item.idstr !== "cpu" || item.content.kind !== "device") continue;
    const registers = cpuRegisters(item.content.state);
    if (registers !== undefined) cpus.push(registers);
  }
  return cpus;
}

test("registers are what `info registers` printed", async (t) => {
  for (const entry of corpus) {
    if (entry.name === "suppress-vmdesc") continue;
    const [first] = await registersOf(entry.open());
    if (first === undefined) {
      t.fail(`${entry.name} has a CPU`);
      continue;
    }
    const shown = shownRegisters(entry.truth.registers);
    t.ok(shown.size >= 54, `${entry.name}: ${shown.size} registers printed`);
    const { general, segments, control, debug, msrs } = first;
    const ours = new Map<string, bigint>(Object.entries({ ...general, ...control, ...debug }));
    ours.set("efer", msrs["EFER"] ?? -1n);
    // QEMU prints only the attributes: the second word of a descriptor without the parts of base in it.
    for (const [name, { selector, base, limit, flags }] of Object.entries(segments)) {
      ours
        .set(name, selector)
        .set(`${name} base`, base)
        .set(`${name} limit`, limit)
        .set(`${name} flags`, flags & 0xffff00n);
    }
    const different = [...shown].filter(([name, value]) => ours.get(name) !== value);
    t.deepEqual(different, [], `${entry.name}: all the same`);
  }
  t.end();
});

test("a part of memory", async (t) => {
  const entry = corpusEntry("pc-fill");
  await extractPhysical(new MemorySource(entry.open()), out, { format: "raw" });
  const whole = readFileSync(out);
  const part = { format: "raw", from: 0x100ff0, length: 0x2020 } as const;
  const { segments } = await extractPhysical(new MemorySource(entry.open()), out, part);
  t.ok(readFileSync(out).equals(whole.subarray(0x100ff0, 0x103010)), "raw");
  t.deepEqual(segments, [{ start: 0x100ff0, length: 0x2020, block: "pc.ram", offset: 0x100ff0 }]);
  const lime = await extractPhysical(new MemorySource(entry.open()), out, { ...part, format: "lime" });
  t.equal(lime.fileLength, 32 + 0x2020);
  t.ok(readFileSync(out).subarray(32).equals(whole.subarray(0x100ff0, 0x103010)), "lime");
  const late = await extractPhysical(new MemorySource(entry.open()), out, { format: "raw", from: 0xfff000 });
  t.equal(late.fileLength, 0x1000, "to the end of memory");
  t.ok(readFileSync(out).equals(whole.subarray(0xfff000)));
  const bios = entry.truth.blocks.find(({ name }) => name === "pc.bios")!;
  const firmware = { format: "raw", from: 2 ** 32 - bios.length, length: bios.length } as const;
  await extractPhysical(new MemorySource(entry.open()), out, firmware);
  t.equal(sha256Of(readFileSync(out)), bios.sha256, "firmware below 4 GiB");
  t.end();
});

test("a layout stated by hand", async (t) => {
  const entry = corpusEntry("numa");
  const layout = "node-a@0,node-b@0x200000:0:6291456,pc.bios@0xffff0000";
  const stated = await extractPhysical(new MemorySource(entry.open()), out, { format: "elf", layout });
  const { loads } = coreParts(readFileSync(out));
  t.deepEqual(
    loads.map(({ address, length }) => [address, length]),
    [
      [0, 0x200000],
      [0x200000, 0x600000],
      [0xffff0000, 0x10000],
    ],
  );
  t.deepEqual(stated.layout, ["as stated by --layout"]);
  const high = entry.truth.pmemsave[1]!;
  t.equal(sha256Of(bytesAt(readFileSync(out), loads, high.start, high.length)), high.sha256, "node-a, then node-b");
  t.end();
});

test("what is refused leaves nothing behind", async (t) => {
  const entry = corpusEntry("pc-fill");
  const bytes = entry.open();
  rmSync(out, { force: true });
  const refuse = async (source: Uint8Array, options: object): Promise<string> => {
    const all = { format: "raw" as const, ...options };
    const error = await refusal(async () => await extractPhysical(new MemorySource(source), out, all));
    return error === undefined ? "taken" : `${error.code}: ${error.what}`;
  };
  t.equal(await refuse(bytes, { from: 2 ** 40 }), "usage: no memory in this range");
  t.match(await refuse(bytes, { layout: "nothing@0" }), /^usage: --layout takes BLOCK@ADDRESS/u);
  t.match(
    await refuse(bytes, { layout: "pc.ram@0:0xfff000:0x2000" }),
    /^usage: --layout: "pc.ram" has 16777216 bytes/u,
  );
  t.match(
    await refuse(bytes, { layout: "pc.ram@0,pc.bios@0x1000" }),
    /^usage: --layout: "pc.ram" and "pc.bios" overlap/u,
  );
  // Nothing is read for a layout that no stream could have.
  for (const layout of ["", "pc.ram", "pc.ram@", "pc.ram@0:1", "pc.ram@-1", "pc.ram@0x20000000000000", "pc.ram@0,"]) {
    t.match(await refuse(new Uint8Array(), { layout }), /^usage: --layout takes BLOCK@ADDRESS/u, layout);
  }
  t.match(await refuse(bytes.subarray(0, 100_000), {}), /^truncated: /u);
  t.match(await refuse(corpusEntry("machine-none-tiny").open().subarray(0, 40), {}), /^truncated: /u);
  t.deepEqual(readdirSync(work), [], "no file, no folder");
  mkdirSync(out);
  writeFileSync(join(out, "mine"), "mine");
  t.match(await refuse(bytes, { length: 4096 }), /^io: /u, "a folder is there");
  t.equal(readFileSync(join(out, "mine"), "utf8"), "mine");
  t.deepEqual(readdirSync(work), ["out"]);
  rmSync(out, { recursive: true });
  t.end();
});
