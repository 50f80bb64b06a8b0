import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { longModeGuest } from "../tools/guest/long-mode.js";
import { makeWorkFolder, QemuProcess } from "../tools/qemu/process.js";
import { coreParts, type Piece } from "./support/cores.js";
import { qevm } from "./support/program.js";
import { inLongMode, testEach } from "./support/qemus.js";
import { saveStream } from "../tools/qemu/save-stream.js";

const MIB = 1 << 20;
const GIB = 1 << 30;

/** Marks that QEMU itself writes into memory when it starts. */
function marks(addresses: readonly number[]): string[] {
  return addresses.flatMap((at) => [
    "-device",
    `loader,addr=0x${at.toString(16)},data=0x${((at + 0x1234567) % 2 ** 32).toString(16)},data-len=4`,
  ]);
}

async function pmemsave(vm: QemuProcess, at: number, length: number): Promise<Buffer> {
  await vm.human(`pmemsave ${at} ${length} "$DIR/pmem"`);
  return readFileSync(vm.file("pmem"));
}

function readAt(file: string, at: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  const fd = openSync(file, "r");
  readSync(fd, bytes, 0, length, at);
  closeSync(fd);
  return bytes;
}

interface Case {
  name: string;
  args: string[];
  addresses: number[];
  guess?: RegExp;
}

const CASES: readonly Case[] = [
  { name: "pc, 64 MiB", args: ["-machine", "pc", "-m", "64"], addresses: [MIB, 64 * MIB - 8] },
  { name: "q35, 64 MiB", args: ["-machine", "q35", "-m", "64"], addresses: [MIB, 64 * MIB - 8] },
  { name: "pc, 3.5 GiB", args: ["-machine", "pc", "-m", "3584"], addresses: [3 * GIB - 8, 4 * GIB, 4.5 * GIB - 8] },
  { name: "q35, 3.5 GiB", args: ["-machine", "q35", "-m", "3584"], addresses: [2 * GIB - 8, 4 * GIB, 5.5 * GIB - 8] },
  { name: "pc, 5 GiB", args: ["-machine", "pc", "-m", "5120"], addresses: [3 * GIB - 8, 4 * GIB, 6 * GIB - 8] },
  {
    name: "q35, 2.5 GiB with max-ram-below-4g",
    args: ["-machine", "q35,max-ram-below-4g=1G", "-m", "2560"],
    addresses: [GIB - 8, 4 * GIB, 5.5 * GIB - 8],
  },
  { name: "q35, 4.5 GiB", args: ["-machine", "q35", "-m", "4608"], addresses: [2 * GIB - 8, 4 * GIB, 6.5 * GIB - 8] },
  {
    name: "pc, 64 MiB and a DIMM of 128 MiB",
    args: "-machine pc -m 64M,slots=2,maxmem=2G -object memory-backend-ram,id=dimm0,size=128M -device pc-dimm,memdev=dimm0".split(
      " ",
    ),
    addresses: [64 * MIB - 8, 4 * GIB, 4 * GIB + 128 * MIB - 8],
    guess: /guess: "dimm0" is hot-plugged memory at 0x100000000/u,
  },
];

for (const { name, args, addresses, guess } of CASES) {
  testEach(`raw memory is what pmemsave shows: ${name}`, async (t, qemu) => {
    const work = mkdtempSync(join(tmpdir(), "qevm-physical-"));
    const vm = await QemuProcess.start(qemu, [...args, "-nodefaults", "-vga", "none", "-S", ...marks(addresses)]);
    try {
      const stream = await saveStream(vm);
      const out = join(work, "raw");
      const run = await qevm(["extract", stream, "--format", "raw", "--out", out]);
      t.equal(run.code, 0, run.stderr);
      if (guess === undefined) t.doesNotMatch(run.stdout, /guess/u, "nothing is guessed");
      else t.match(run.stdout, guess);
      for (const at of [0, 0xc0000, ...addresses]) {
        const start = at - (at % 4096);
        const length = at === 0xc0000 ? 0x40000 : 4096;
        const truth = await pmemsave(vm, start, length);
        t.ok(truth.some((byte) => byte !== 0) || at === 0, `there is something at 0x${at.toString(16)}`);
        t.ok(truth.equals(readAt(out, start, length)), `the same at 0x${at.toString(16)}`);
      }
      t.ok(statSync(out).blocks * 512 < 8 * MIB, "sparse");
    } finally {
      await vm.close();
      rmSync(work, { recursive: true, force: true });
    }
  });
}

function rangesOf(loads: readonly Piece[]): number[][] {
  return loads.map(({ address, length }) => [address, length]);
}

for (const machine of ["pc", "q35"]) {
  testEach(`the ELF core is what dump-guest-memory writes: ${machine}`, async (t, qemu) => {
    const work = mkdtempSync(join(tmpdir(), "qevm-elf-"));
    const folder = makeWorkFolder(qemu);
    writeFileSync(join(folder, "boot.img"), longModeGuest());
    const args = [
      "-machine",
      machine,
      "-m",
      "32",
      "-smp",
      "2",
      "-nodefaults",
      "-vga",
      "none",
      "-drive",
      "file=$DIR/boot.img,format=raw,if=ide",
    ];
    const vm = await QemuProcess.start(qemu, args, folder);
    try {
      // SeaBIOS under TCG does not get to this boot sector on q35 in reasonable time: there, the notes are those of a 32-bit guest.
      if (machine === "pc") await inLongMode(vm);
      await vm.execute("stop");
      await vm.execute("dump-guest-memory", { paging: false, protocol: "file:$DIR/core" });
      const truth = readFileSync(vm.file("core"));
      const stream = await saveStream(vm);
      const out = join(work, "core");
      const run = await qevm(["extract", stream, "--format", "elf", "--out", out]);
      t.equal(run.code, 0, run.stderr);
      const core = readFileSync(out);
      const theirs = coreParts(truth);
      const ours = coreParts(core);
      t.ok(ours.noteBytes.equals(theirs.noteBytes), `${ours.noteBytes.length} bytes of notes are the same`);
      t.deepEqual(rangesOf(ours.loads), rangesOf(theirs.loads), "PT_LOAD ranges");
      for (const load of theirs.loads) {
        const mine = ours.loads.find(({ address }) => address === load.address);
        const there = truth.subarray(load.at, load.at + load.length);
        const here = mine === undefined ? undefined : core.subarray(mine.at, mine.at + load.length);
        t.ok(here?.equals(there), `contents from 0x${load.address.toString(16)}`);
      }
      const readelf = spawnSync("readelf", ["-a", out], { encoding: "utf8" });
      if (readelf.error === undefined) t.doesNotMatch(readelf.stdout + readelf.stderr, /warning|error/iu, "readelf");
      else t.comment("no readelf here");
      const lime = join(work, "lime");
      t.equal((await qevm(["extract", stream, "--format", "lime", "--out", lime])).code, 0);
      const bytes = readFileSync(lime);
      let at = 0;
      for (const load of ours.loads) {
        t.equal(bytes.readUInt32LE(at), 0x4c694d45, "LiME magic");
        t.equal(Number(bytes.readBigUInt64LE(at + 8)), load.address);
        t.equal(Number(bytes.readBigUInt64LE(at + 16)), load.address + load.length - 1);
        t.ok(bytes.subarray(at + 32, at + 32 + load.length).equals(core.subarray(load.at, load.at + load.length)));
        at += 32 + load.length;
      }
      t.equal(at, bytes.length);
    } finally {
      await vm.close();
      rmSync(work, { recursive: true, force: true });
    }
  });
}
