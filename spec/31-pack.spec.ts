import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { GatheredFile } from "../src/rewrite/pack/gathered-file.js";
import { packFolder, type PackReport } from "../src/rewrite/pack/pack.js";
import { unpackStream } from "../src/rewrite/pack/unpack.js";
import { MemorySink, MemorySource } from "../src/bytes/source.js";
import { createStreamWriter } from "../src/codec/stream/index.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import {
  destinationLike,
  readPhysical,
  readRegisters,
  runGuest,
  startDestination,
} from "../tools/destination/index.js";
import { refusal } from "./support/bytes.js";
import { qemuOf } from "./support/loads.js";
import { qevm } from "./support/program.js";
import { mostlyHole, stopped } from "./support/signalled.js";
import { sha256Of } from "../tools/sha256.js";

test("what cannot be written is told with its whole path: which disk is full", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-"));
  const path = join(folder, "versions.bin");
  const file = new GatheredFile(path);
  file.write(new Uint8Array(8));
  file.close();
  const full = await refusal(() => file.flush());
  t.deepEqual([full?.code, full?.what.startsWith(`${path}: EBADF`)], ["io", true], full?.message);
  const there = await refusal(() => new GatheredFile(path));
  t.deepEqual([there?.code, there?.what.startsWith(`${path}: EEXIST`)], ["io", true], there?.message);
  rmSync(folder, { recursive: true });
});

/** A folder that lasts for one test, with a capture unpacked in `dir`. */
async function unpacked(name: string, use: (folder: string, dir: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-"));
  try {
    writeFileSync(join(folder, "stream"), corpusEntry(name).open());
    await unpackStream(join(folder, "stream"), join(folder, "dir"));
    await use(folder, join(folder, "dir"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function ramFile(dir: string, block: string): string {
  const { ram } = JSON.parse(readFileSync(join(dir, "manifest.json"), "utf8")) as {
    ram: { blocks: { name: string; file: string }[] };
  };
  return join(dir, ram.blocks.find(({ name }) => name === block)?.file ?? "none");
}

function deviceFile(dir: string, name: string): string {
  const file = readdirSync(join(dir, "devices")).find((item) => item.replace(/^\d+-/u, "") === `${name}.json`);
  return join(dir, "devices", file ?? "none");
}

function edit(file: string, change: (text: string) => string): void {
  const text = readFileSync(file, "utf8");
  const changed = change(text);
  if (changed === text) throw new Error(`nothing to change in ${file}`);
  writeFileSync(file, changed);
}

function patch(file: string, offset: number, bytes: Uint8Array): void {
  const content = readFileSync(file);
  content.set(bytes, offset);
  writeFileSync(file, content);
}

async function pack(folder: string, dir: string): Promise<{ bytes: Buffer; report: PackReport }> {
  const report = await packFolder(dir, join(folder, "out"));
  return { bytes: readFileSync(join(folder, "out")), report };
}

test("from the command line, standard input too", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-"));
  try {
    const stream = corpusEntry("xbzrle-compress").open();
    const dir = join(folder, "dir");
    t.equal((await qevm(["unpack", "-", dir], { stdin: stream })).code, 0);
    t.deepEqual(readdirSync(dir).toSorted(), [
      "devices",
      "manifest.json",
      "ram",
      "records.bin",
      "versions.bin",
      "vmdescription.json",
    ]);
    t.equal(
      (await qevm(["unpack", "-", dir], { stdin: stream })).code,
      2,
      "a folder with something in it is not touched",
    );
    t.equal((await qevm(["pack", dir, "--out", join(folder, "out")])).code, 0);
    t.ok(readFileSync(join(folder, "out")).equals(stream));
    t.equal((await qevm(["unpack", "-", join(folder, "cut")], { stdin: stream.subarray(0, 100_000) })).code, 1);
    t.deepEqual(readdirSync(folder).toSorted(), ["dir", "out"], "a cut stream leaves nothing behind");
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a mapped-ram file is refused before anything is written", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-"));
  const bytes = gunzipSync(readFileSync(join(projectRoot(), "spec", "support", "mapped-ram-10.0.gz")));
  const error = await refusal(async () => await unpackStream(bytes, join(folder, "dir")));
  t.deepEqual([error?.code, (error?.offset ?? 0) > 0], ["unsupported", true], error?.message);
  t.deepEqual(readdirSync(folder), []);
  rmSync(folder, { recursive: true });
  t.end();
});

test("RAM files hold the source's memory", async (t) => {
  for (const name of ["live", "xbzrle", "compress-live"]) {
    await unpacked(name, async (_, dir) => {
      for (const { name: block, sha256 } of corpusEntry(name).truth.blocks) {
        const found = sha256Of(readFileSync(ramFile(dir, block)));
        t.equal(found, sha256, `${name}: ${block}`);
      }
    });
  }
});

test("what does not fit is refused with file and key, and nothing is written", async (t) => {
  await unpacked("live", async (folder, dir) => {
    const cases: [string, (dir: string) => void, RegExp][] = [
      [
        "a value too large",
        (d) =>
          edit(deviceFile(d, "i8254-0"), (s) =>
            s.replace(/"channels\[0\]|"irq_disabled": 0|: 0/u, (m) => m.replace("0", "4294967296")),
          ),
        /i8254-0\.json/u,
      ],
      [
        "an unknown key in a device",
        (d) => edit(deviceFile(d, "cpu-0"), (s) => s.replace('"fields": {', '"fields": { "env.nonesuch": 1,')),
        /cpu-0\.json.*env\.nonesuch/su,
      ],
      [
        "a missing key in a device",
        (d) => edit(deviceFile(d, "cpu-0"), (s) => s.replace('"env.eip"', '"env.eipp"')),
        /cpu-0\.json.*env\.eip/su,
      ],
      ["a device that is not JSON", (d) => writeFileSync(deviceFile(d, "cpu-0"), "{"), /cpu-0\.json/u],
      ["a missing device", (d) => rmSync(deviceFile(d, "cpu-0")), /cpu-0\.json.*ENOENT/su],
      ["a missing RAM file", (d) => rmSync(ramFile(d, "pc.ram")), /ram\/pc\.ram.*ENOENT/su],
      ["a RAM file of another length", (d) => truncateSync(ramFile(d, "pc.ram"), 4096), /ram\/pc\.ram.*length/su],
      [
        "an unknown key in the manifest",
        (d) => edit(join(d, "manifest.json"), (s) => s.replace('"version": 1', '"version": 1, "x": 1')),
        /manifest\.json.*"x"/su,
      ],
      [
        "a number too large in the manifest",
        (d) => edit(join(d, "manifest.json"), (s) => s.replace('"instance":0', '"instance":4294967296')),
        /manifest\.json: items\[\d+\]: instance/u,
      ],
      [
        "a path out of the folder",
        (d) => edit(join(d, "manifest.json"), (s) => s.replace('"content":"devices/', '"content":"../devices/')),
        /content/u,
      ],
      ["records cut short", (d) => truncateSync(join(d, "records.bin"), 20), /records\.bin ends early/u],
      ["versions cut short", (d) => truncateSync(join(d, "versions.bin"), 20), /versions\.bin ends early/u],
    ];
    for (const [what, damage, message] of cases) {
      const copy = join(folder, "copy");
      cpSync(dir, copy, { recursive: true });
      damage(copy);
      const error = await refusal(() => pack(folder, copy));
      t.match(error?.message ?? "not refused", message, what);
      t.notOk(existsSync(join(folder, "out")), "nothing written");
      rmSync(copy, { recursive: true });
    }
    t.deepEqual(readdirSync(folder).toSorted(), ["dir", "stream"], "and nothing temporary is left");
  });
});

const MARK = Buffer.from("edited by hand", "latin1");

for (const [name, version, capabilities] of [
  ["live", "7.2", []],
  ["compress-live", "7.2", ["compress"]],
  ["xbzrle", "7.2", ["xbzrle"]],
  ["v5.2-compress-live", "5.2", ["compress"]],
  ["v10.0-xbzrle", "10.0", ["xbzrle"]],
  ["v11.1-live", "11.1", []],
] as const) {
  test(`edits of ${name} show in a real ${version}: registers, rip and bytes of memory`, async (t) => {
    if (qemuOf(t, version) === undefined) return;
    await unpacked(name, async (folder, dir) => {
      const ram = ramFile(dir, "pc.ram");
      const before = readFileSync(ram);
      const zero = 0x7f_0000;
      t.ok(
        before.subarray(zero, zero + 4096).every((byte) => byte === 0),
        "a zero page",
      );
      let data = 0x10_0000;
      while (before.subarray(data, data + 4096).every((byte) => byte === 0)) data += 4096;
      t.notOk(
        before.subarray(data, data + 4096).every((byte) => byte === 0),
        "a page of data",
      );
      patch(ram, zero + 100, MARK);
      patch(ram, data + 200, MARK);
      const cpu = deviceFile(dir, "cpu-0");
      const state = JSON.parse(readFileSync(cpu, "utf8")) as { fields: Record<string, unknown> };
      const eip = BigInt(String(state.fields["env.eip"]));
      (state.fields["env.regs"] as string[])[5] = "0x12345678";
      writeFileSync(cpu, JSON.stringify(state));
      const { bytes, report } = await pack(folder, dir);
      t.equal(report.edits.becamePages > 0, true, "the zero page became a page");
      const inspection = await inspectStream(new MemorySource(bytes));
      t.equal(inspection.complete, true);
      const entry = corpusEntry(name);
      const destination = await startDestination(destinationLike(entry, { stream: bytes, capabilities }));
      try {
        const { vm, result } = destination;
        t.equal(result.status, "completed", result.error);
        const registers = await readRegisters(vm);
        t.equal(registers.get("EBP") ?? registers.get("RBP"), 0x12345678n, "the edited register");
        t.equal(registers.get("EIP") ?? registers.get("RIP"), eip, "rip is what the file says");
        t.ok((await readPhysical(vm, zero + 100, MARK.length)).equals(MARK), "bytes in a zero page");
        t.ok((await readPhysical(vm, data + 200, MARK.length)).equals(MARK), "bytes in a page of data");
        const rounds = async (): Promise<number> => (await readPhysical(vm, 0x600, 8)).readUInt32LE(4);
        const start = await rounds();
        await runGuest(vm, 200);
        t.ok((await rounds()) > start, "and the guest goes on");
      } finally {
        await destination.vm.close();
      }
      (state.fields as Record<string, string>)["env.eip"] = "0x7c44";
      writeFileSync(cpu, JSON.stringify(state));
      const moved = await startDestination(
        destinationLike(entry, { stream: (await pack(folder, dir)).bytes, capabilities }),
      );
      try {
        const registers = await readRegisters(moved.vm);
        t.equal(registers.get("EIP") ?? registers.get("RIP"), 0x7c44n, "an edited rip");
      } finally {
        await moved.vm.close();
      }
    });
  });
}

test("a block that is mostly hole: signals are heard while its file is read", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-holes-"));
  try {
    const stream = join(folder, "stream");
    writeFileSync(stream, await mostlyHole(256 * 2 ** 30));
    await unpackStream(stream, join(folder, "dir"));
    const words = ["pack", "dir", "--out", "again", "--limit", "absentBytes=1T"];
    t.deepEqual(await stopped(words, folder), { code: null, signal: "SIGTERM", left: [] });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("two RAM blocks of one name are refused where their list is", async (t) => {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "pc-i440fx-11.1" });
  const [, block] = writer.ram.blocks(["ram", "ram", "other"].map((idstr) => ({ idstr, usedLength: 8192 })));
  await writer.ram.page(block!, 0, new Uint8Array(4096).fill(7));
  writer.ram.end();
  await writer.finish("none");
  const list = Buffer.from(sink.bytes()).indexOf("\x03ram") + 12;
  const folder = mkdtempSync(join(tmpdir(), "qevm-twins-"));
  try {
    const error = await refusal(() => unpackStream(sink.bytes(), join(folder, "dir")));
    t.deepEqual([error?.code, error?.offset], ["unsupported", list], error?.message);
    t.deepEqual(readdirSync(folder), [], "nothing is left");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("pages that are scattered over a length that is only stated are refused before memory is taken", async (t) => {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "none" });
  const [block] = writer.ram.blocks([{ idstr: "ram", usedLength: 2 ** 43 }]);
  for (let k = 0; k < 100_000; k++) await writer.ram.zero(block!, k * 2 ** 26);
  writer.ram.end();
  await writer.finish();
  const folder = mkdtempSync(join(tmpdir(), "qevm-scattered-"));
  try {
    for (const input of [sink.bytes(), new MemorySource(sink.bytes())]) {
      const error = await refusal(() => unpackStream(input, join(folder, "dir")));
      t.deepEqual([error?.code, readdirSync(folder)], ["limit", []], error?.message);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("an input that fails while it is kept is closed", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-spool-"));
  try {
    let closed = 0;
    const stream = corpusEntry("machine-none").open();
    let read = 0;
    const next = async (): Promise<IteratorResult<Uint8Array>> => {
      const value = stream.subarray(read, (read += 4096));
      if (read > 16384) throw new QevmError("io", "EIO: the disk");
      return await Promise.resolve({ done: false, value });
    };
    const close = (): Promise<IteratorResult<Uint8Array>> => Promise.resolve({ done: true, value: void closed++ });
    const source = { [Symbol.asyncIterator]: () => ({ next, return: close }) };
    const before = readdirSync("/proc/self/fd").length;
    const error = await refusal(() => unpackStream(source, join(folder, "dir")));
    t.equal(error?.message, "EIO: the disk");
    t.equal(closed, 1);
    t.equal(readdirSync("/proc/self/fd").length, before, "so is its copy");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
