/** ELF cores as debuggers want them: notes of the guest's kernel, and what gdb, drgn, crash and readelf make of them. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { longModeGuest } from "../tools/guest/long-mode.js";
import { elfHead } from "../src/guest/files/elf.js";
import { MemorySink } from "../src/bytes/index.js";
import { createStreamWriter } from "../src/codec/stream/index.js";
import { deviceFromPlain, type DeviceDescription } from "../src/codec/vmstate/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { makeWorkFolder, QemuProcess } from "../tools/qemu/process.js";
import { coreParts } from "./support/cores.js";
import { qevm } from "./support/program.js";
import { inLongMode, testEach, whenLoaded } from "./support/qemus.js";
import { saveStream } from "../tools/qemu/save-stream.js";
import { flatDocument } from "./support/document.js";

const work = mkdtempSync(join(tmpdir(), "qevm-core-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

const TEXT = [
  "OSRELEASE=6.1.0-qevm",
  "BUILD-ID=0123456789abcdef0123456789abcdef01234567",
  "PAGESIZE=4096",
  "SYMBOL(init_uts_ns)=ffffffff82a12340",
  "OFFSET(uts_namespace.name)=0",
  "SYMBOL(node_online_map)=ffffffff82c4b2f8",
  "SYMBOL(swapper_pg_dir)=ffffffff82a10000",
  "SYMBOL(_stext)=ffffffff81000000",
  "NUMBER(phys_base)=0",
  "SYMBOL(init_top_pgt)=ffffffff82a10000",
  "NUMBER(pgtable_l5_enabled)=0",
  "KERNELOFFSET=0",
  "NUMBER(KERNEL_IMAGE_SIZE)=1073741824",
  "",
].join("\n");

/** The note as a kernel lays it into its memory. */
function kernelNote(text = TEXT): Buffer {
  const note = Buffer.alloc(24 + Math.ceil(text.length / 4) * 4);
  note.writeUInt32LE(11, 0);
  note.writeUInt32LE(text.length, 4);
  note.write("VMCOREINFO", 12, "latin1");
  note.write(text, 24, "latin1");
  return note;
}

/** A capture with other contents of main memory, and other device values. */
async function edited(template: string, memory: Buffer | undefined, set: readonly string[]): Promise<string> {
  const ram = join(work, "ram");
  const out = join(work, "stream");
  if (memory !== undefined) writeFileSync(ram, memory);
  const contents = memory === undefined ? [] : ["--ram", `pc.ram=${ram}`];
  const run = await qevm([
    "generate",
    "--template",
    template,
    ...contents,
    ...set.flatMap((one) => ["--set", one]),
    "--out",
    out,
  ]);
  if (run.code !== 0) throw new Error(run.stderr);
  return out;
}

async function core(t: test.Test, stream: string): Promise<{ path: string; said: string | null }> {
  const path = join(work, "core");
  const run = await qevm(["extract", stream, "--format", "elf", "--out", path, "--json"]);
  t.equal(run.code, 0, run.stderr);
  return { path, said: (flatDocument(run.stdout) as { vmcoreinfo: string | null }).vmcoreinfo };
}

function guestNotes(path: string): Buffer[] {
  const { notes } = coreParts(readFileSync(path));
  return notes.filter(({ name }) => name === "VMCOREINFO").map(({ content }) => content);
}

const TEMPLATE = join(work, "template");
writeFileSync(TEMPLATE, corpusEntry("pc-fill").open());
const NOTE_AT = 0x612000;

/** pc-fill's 16 MiB with notes in it; text that is not a note before them. */
function memoryWithNote(): Buffer {
  const memory = Buffer.alloc(16 << 20);
  memory.write("VMCOREINFO\0\0OSRELEASE=false", 0x200100, "latin1");
  kernelNote("not what kernels write").copy(memory, 0x300000);
  kernelNote("OSRELEASE=unaligned\n").copy(memory, 0x400010);
  kernelNote().copy(memory, NOTE_AT);
  return memory;
}

test("a note that the kernel left in memory is found", async (t) => {
  const { path, said } = await core(t, await edited(TEMPLATE, memoryWithNote(), []));
  t.equal(said, "found in memory at 0x612000");
  t.deepEqual(
    guestNotes(path).map((content) => content.toString("latin1")),
    [TEXT],
  );
  const { said: nothing, path: without } = await core(t, TEMPLATE);
  t.equal(nothing, null, "a guest without one");
  t.deepEqual(guestNotes(without), []);
  t.end();
});

test("debuggers open the core", async (t) => {
  const registers = ["env.efer=0x500", "env.eip=0xffffffff81000123"].map((one) => `cpu/0:${one}`);
  const { path } = await core(t, await edited(TEMPLATE, memoryWithNote(), registers));
  const tool = (name: string, args: readonly string[], wanted: RegExp, what: string): void => {
    const run = spawnSync(name, args, { encoding: "utf8", timeout: 60_000 });
    if (run.error === undefined) t.match(run.stdout + run.stderr, wanted, what);
    else t.comment(`SKIP ${what}: no ${name} here`);
  };
  const readelf = spawnSync("readelf", ["-a", path], { encoding: "utf8" });
  if (readelf.error === undefined) {
    t.match(readelf.stdout, /VMCOREINFO +0x[0-9a-f]+/u, "readelf lists the note");
    t.doesNotMatch(readelf.stdout + readelf.stderr, /warning|error/iu, "readelf has no complaint");
  } else {
    t.comment("SKIP readelf: not here");
  }
  const ask = ["-ex", "info registers rip", "-ex", `x/s ${NOTE_AT + 24}`];
  tool(
    "gdb",
    ["-batch", "-c", path, ...ask],
    /rip +0xffffffff81000123[^]*OSRELEASE=6\.1\.0-qevm/u,
    "gdb: registers and memory",
  );
  tool("crash", ["--osrelease", path], /^6\.1\.0-qevm$/mu, "crash: the kernel's release");
  const script = [
    "import drgn",
    "p = drgn.Program()",
    `p.set_core_dump(${JSON.stringify(path)})`,
    "print(p.flags, p.platform.arch)",
    `print(p.read(${NOTE_AT + 24}, 20, True))`,
  ].join("\n");
  const python = "/usr/bin/python3";
  const drgn = existsSync(python) && spawnSync(python, ["-c", "import drgn"]).status === 0;
  if (drgn)
    tool(python, ["-c", script], /IS_LINUX_KERNEL[^]*X86_64[^]*OSRELEASE=6\.1\.0-qevm/u, "drgn: a Linux kernel");
  else t.comment("SKIP drgn: no python3-drgn here");
  t.end();
});

/** What the vmcoreinfo device is made to remember. */
function told(address: string, length: number): string[] {
  const fields = ["host_format=1", "guest_format=1", `size=${length}`, `paddr=${address}`];
  return ["has_vmcoreinfo=true", ...fields.map((field) => `vmcoreinfo.${field}`)].map((one) => `vmcoreinfo/0:${one}`);
}

/** A stream of 16 MiB with a vmcoreinfo device that remembers a place, made here. */
async function withDevice(
  address: string,
  length: number,
  more: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "pc-i440fx-7.2", pageSize: 4096 });
  const memory = memoryWithNote();
  const [block] = writer.ram.blocks([{ idstr: "pc.ram", usedLength: memory.length }]);
  for (let at = 0; at < memory.length; at += 4096) {
    const page = memory.subarray(at, at + 4096);
    if (page.some((byte) => byte !== 0)) await writer.ram.page(block!, at, page);
  }
  writer.ram.end();
  const fields = { has_vmcoreinfo: true, "vmcoreinfo.host_format": 1, "vmcoreinfo.guest_format": 1 };
  const place = { "vmcoreinfo.size": length, "vmcoreinfo.paddr": address };
  const state = deviceFromPlain(VMCOREINFO, { fields: { ...fields, ...place, ...more }, subsections: {} });
  await writer.device({ state, versionId: 1 });
  await writer.finish();
  const path = join(work, "made");
  writeFileSync(path, sink.bytes());
  return path;
}

/** As QEMU 7.2 describes the device. */
const VMCOREINFO: DeviceDescription = {
  name: "vmcoreinfo",
  instanceId: 0,
  vmsdName: "vmcoreinfo",
  version: 1,
  fields: [
    { name: "has_vmcoreinfo", type: "bool", size: 1 },
    { name: "vmcoreinfo.host_format", type: "uint16", size: 2 },
    { name: "vmcoreinfo.guest_format", type: "uint16", size: 2 },
    { name: "vmcoreinfo.size", type: "uint32", size: 4 },
    { name: "vmcoreinfo.paddr", type: "uint64", size: 8 },
  ],
};

test("more program headers than e_phnum holds are counted by section header 0", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-headers-"));
  for (const count of [0xfffe, 0xffff, 0x12345]) {
    const segments = Array.from({ length: count }, (_, k) => ({
      start: k * 8192,
      length: 4096,
      block: "b",
      offset: 0,
    }));
    const head = Buffer.from(elfHead(segments, { cpus: [] }));
    const extended = count >= 0xffff;
    t.equal(head.readUInt16LE(56), extended ? 0xffff : count, `${count}: e_phnum`);
    t.equal(head.readUInt16LE(60), extended ? 1 : 0, "e_shnum");
    const at = Number(head.readBigUInt64LE(40));
    t.equal(at, extended ? 64 : 0, "e_shoff");
    if (extended) t.equal(head.readUInt32LE(at + 44), count, "sh_info");
    const last = Number(head.readBigUInt64LE(32)) + 56 * (count - 1);
    t.equal(head.length, last + 56, "program headers follow");
    t.equal(Number(head.readBigUInt64LE(last + 24)), (count - 1) * 8192, "the last one's address");
    t.equal(Number(head.readBigUInt64LE(last + 8)), head.length + (count - 1) * 4096, "and its bytes");
    writeFileSync(join(folder, "head"), head);
    const { error, stdout } = spawnSync("readelf", ["-lW", join(folder, "head")], {
      encoding: "utf8",
      maxBuffer: 1 << 26,
    });
    if (error === undefined) t.equal(stdout.match(/^ {2}LOAD /gmu)?.length, count, "readelf finds them all");
  }
  rmSync(folder, { recursive: true });
  t.end();
});

test("where the device says, and where it says something else", async (t) => {
  const right = "at 0x612000, as the vmcoreinfo device says";
  const found = "found in memory at 0x612000";
  for (const [address, length, more, said] of [
    ["0x612000", 4096, {}, right],
    ["0x612000", 24 + TEXT.length + 4, {}, right],
    ["0x612000", 100, {}, found],
    ["0x612000", 8, {}, found],
    ["0x612000", 1 << 24, {}, found],
    ["0x612000", 4096, { "vmcoreinfo.guest_format": 0 }, found],
    ["0x612000", 4096, { has_vmcoreinfo: false }, found],
    ["0x5000", 4096, {}, found],
    ["0x7000000000000000", 4096, {}, found],
    ["0x4000000", 4096, {}, found],
    ["0xfff000", 1 << 16, {}, found],
  ] as const) {
    const { said: how, path } = await core(t, await withDevice(address, length, more));
    t.equal(how, said, `${length} bytes at ${address} ${JSON.stringify(more)}`);
    t.deepEqual(
      guestNotes(path).map((content) => content.toString("latin1")),
      [TEXT],
    );
  }
  t.end();
});

testEach("a device that points at something else is not believed", async (t, qemu) => {
  const vm = await QemuProcess.start(qemu, "-machine pc -m 16 -nodefaults -vga none -S -device vmcoreinfo".split(" "));
  try {
    const stream = await saveStream(vm);
    for (const address of ["0x612000", "0xfffffff8", "0xfffffffffffffff0", "0x4000"]) {
      const { said } = await core(t, await edited(stream, memoryWithNote(), told(address, 4096)));
      const believed =
        address === "0x612000" ? "at 0x612000, as the vmcoreinfo device says" : "found in memory at 0x612000";
      t.equal(said, believed, address);
    }
  } finally {
    await vm.close();
  }
});

for (const mode of ["long mode", "32 bits"]) {
  testEach(`the notes are those of dump-guest-memory, VMCOREINFO among them: ${mode}`, async (t, qemu) => {
    const [folder, second] = [makeWorkFolder(qemu), makeWorkFolder(qemu)];
    for (const one of [folder, second]) writeFileSync(join(one, "boot.img"), longModeGuest());
    writeFileSync(join(folder, "note"), kernelNote());
    const machine = "-machine pc -m 32 -smp 2 -nodefaults -vga none -device vmcoreinfo".split(" ");
    const loader = [
      "-device",
      `loader,file=$DIR/note,addr=${NOTE_AT},force-raw=on`,
      "-drive",
      "file=$DIR/boot.img,format=raw,if=ide",
    ];
    const run = mode === "long mode" ? [] : ["-S"];
    const source = await QemuProcess.start(qemu, [...machine, ...loader, ...run], folder);
    let stream: string;
    try {
      if (mode === "long mode") await inLongMode(source);
      await source.execute("stop");
      stream = await edited(await saveStream(source), undefined, told(String(NOTE_AT), kernelNote().length));
    } finally {
      await source.close();
    }
    copyFileSync(stream, join(second, "incoming"));
    const drive = ["-drive", "file=$DIR/boot.img,format=raw,if=ide"];
    const incoming = ["-S", "-incoming", "exec:cat $DIR/incoming"];
    const vm = await QemuProcess.start(qemu, [...machine, ...drive, ...incoming], second);
    try {
      await whenLoaded(vm);
      await vm.execute("dump-guest-memory", { paging: false, protocol: "file:$DIR/core" });
      const theirs = coreParts(readFileSync(vm.file("core")));
      const { path, said } = await core(t, stream);
      const ours = coreParts(readFileSync(path));
      t.equal(said, "at 0x612000, as the vmcoreinfo device says");
      const names = theirs.notes.map(({ name, content }) => `${name} ${content.length}`);
      const status = mode === "long mode" ? "CORE 336" : "CORE 144";
      t.deepEqual(names, [status, status, "QEMU 440", "QEMU 440", `VMCOREINFO ${TEXT.length}`]);
      t.ok(ours.noteBytes.equals(theirs.noteBytes), `${theirs.noteBytes.length} bytes of notes are the same`);
      const head = readFileSync(vm.file("core")).subarray(0, 64);
      t.deepEqual(readFileSync(path).subarray(0, 32), head.subarray(0, 32), "class, type and machine");
    } finally {
      await vm.close();
    }
  });
}
