/** `qevm diff A B`: what it prints, how it ends; two saves of a real QEMU among what it is given. */
import { spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  copyFileSync,
  createReadStream,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type Test } from "tape";
import type { StreamDiff } from "../src/analyse/diff/index.js";
import { RamFlag } from "../src/codec/ram/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { openSource } from "../src/io/transport/file.js";
import { dirtyGuest, fillGuest } from "../tools/guest/patterns.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { findQemu } from "../tools/qemu/find.js";
import { QemuProcess } from "../tools/qemu/process.js";
import { makePlainStream } from "../tools/streams/plain.js";
import { PROGRAM, qevm, type Ended, type RunOptions } from "./support/program.js";
import { rewrite } from "./support/rewrite.js";
import { saveStream } from "../tools/qemu/save-stream.js";
import { flatDocument } from "./support/document.js";

const work = mkdtempSync(join(tmpdir(), "qevm-diff-cli-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

function file(name: string, bytes: Uint8Array): string {
  const path = join(work, name);
  writeFileSync(path, bytes);
  return path;
}

const live = file("live.mig", corpusEntry("live").open());
const other = file("other.mig", corpusEntry("compress-live").open());

/** Runs `qevm diff` and holds its lines against the width of a terminal. */
async function diff(t: Test, args: readonly string[], code: number, options: RunOptions = {}): Promise<Ended> {
  const run = await qevm(["diff", ...args], { cwd: work, ...options });
  t.equal(run.code, code, `exit status ${code} ${run.stderr}`);
  if (!args.includes("--json")) {
    const wide = run.stdout.split("\n").filter((line) => line.length > 80);
    t.deepEqual(wide, [], "within 80 columns");
  }
  // Nothing but printable characters reaches a terminal.
  t.doesNotMatch(run.stdout, /[^\n\x20-\x7e]/u, "printable");
  return run;
}

const documentOf = ({ stdout }: Ended): StreamDiff => flatDocument(stdout) as StreamDiff;

test("three verdicts, and exit statuses as diff(1) has them", async (t) => {
  const same = await diff(t, [live, live], 0);
  t.match(same.stdout, /^Identical, byte for byte$/mu);
  const flat = join(work, "flat.mig");
  await qevm(["convert", live, "--out", flat, "--flatten"]);
  const encoded = await diff(t, [live, flat], 0);
  t.match(encoded.stdout, /^The same, written in another way/mu);
  t.match(encoded.stdout, /^ {2}section ram\/0 parts: 33 \| 3 /mu);
  const different = await diff(t, [live, other], 1);
  t.match(different.stdout, /^DIFFERENT: \d+ pages, \d+ values of \d+ devices$/mu);
  t.match(different.stdout, /^ {2}env\.eip \(rip\): 0x\w+ \| 0x\w+ {2}\(A 0x\w+, B 0x\w+\)$/mu);
  t.equal(different.stderr, "");
  for (const [args, verdict] of [
    [[live, live], "identical"],
    [[live, flat], "same"],
    [[live, other], "different"],
  ] as const) {
    const run = await diff(t, [...args, "--json"], verdict === "different" ? 1 : 0);
    t.equal(documentOf(run).verdict, verdict, "--json says the same");
  }
  t.end();
});

test("--json lists all that the text counts", async (t) => {
  const text = await diff(t, [live, file("q35.mig", corpusEntry("v10.0-q35-devices").open())], 1);
  t.match(text.stdout, /and \d+ more(?: devices)? \(-v lists all\)/u, "long lists are cut");
  const lines = text.stdout.split("\n");
  t.ok(lines.length < 110, "short");
  t.equal(lines.filter((line) => /^(?:section|RAM block|configuration) /u.test(line)).length, 12, "parts");
  t.equal(lines.filter((line) => / [KM]iB +(?:0x|-)/u.test(line)).length, 12, "ranges");
  const json = documentOf(await diff(t, [live, "q35.mig", "--json"], 1));
  const ranges = json.ram.ranges.map(({ block, blockOffset: offset, length }) => `${block} ${offset} ${length}`);
  t.equal(new Set(ranges).size, ranges.length);
  const pages = json.ram.ranges.reduce((sum, { length }) => sum + length, 0) / 4096;
  t.equal(pages, json.ram.compared.different, "ranges hold every page that differs");
  t.end();
});

/** Plain pages, every other one with a byte changed. */
const stream = (name: string, fill: number): string => {
  const fd = openSync(join(work, name), "w");
  let at = 0;
  makePlainStream({ ram: 24 << 20, zero: 0 }, (chunk) => {
    const bytes = Buffer.from(chunk);
    // A record is a be64 and 4096 bytes.
    for (let i = 0; i < bytes.length; i++, at++) if (at % 8208 === 5000) bytes[i]! ^= fill;
    writeSync(fd, bytes);
  });
  closeSync(fd);
  return name;
};

test("more ranges than are printed at a time", async (t) => {
  const json = documentOf(await diff(t, [stream("even", 0), stream("odd", 1), "--json"], 1));
  t.ok(json.ram.ranges.length > 2000, `${json.ram.ranges.length} ranges`);
  t.equal(json.ram.ranges.length, json.ram.compared.different, "a page each");
  t.end();
});

test("pipes, folders, containers", async (t) => {
  const gz = join(corpusEntry("live").folder, "stream.gz");
  t.match((await diff(t, [live, gz], 0)).stdout, /container kind: none \| gzip/u);
  const temporary = join(work, "tmp");
  mkdirSync(temporary);
  const { TMPDIR } = process.env;
  process.env["TMPDIR"] = temporary;
  const piped = await diff(t, ["-", live], 0, { stdin: createReadStream(live) });
  t.match(piped.stdout, /^A: standard input: /mu);
  await diff(t, [live, "-"], 1, { stdin: readFileSync(other) });
  t.deepEqual(readdirSync(temporary), [], "no temporary folder is left");
  const child = spawn(process.execPath, [PROGRAM, "diff", "-", live], { stdio: ["pipe", "ignore", "ignore"] });
  child.stdin.on("error", () => undefined);
  await new Promise((resolve) => child.stdin.write(readFileSync(live).subarray(0, 2_000_000), resolve));
  await new Promise((resolve) => setTimeout(resolve, 500));
  child.kill("SIGKILL");
  await new Promise((resolve) => child.on("close", resolve));
  t.deepEqual(readdirSync(temporary), [], "nor is one of a program that was killed");
  if (TMPDIR === undefined) delete process.env["TMPDIR"];
  else process.env["TMPDIR"] = TMPDIR;
  const recording = join(work, "rec");
  await qevm(["convert", live, "--out", recording, "--to", "recording", "--multifd", "zlib"]);
  t.match((await diff(t, [recording, live], 0)).stdout, /container kind: recording \| none/u);
  t.end();
});

test("wrong usage", async (t) => {
  for (const args of [
    [],
    [live],
    [live, live, live],
    ["-", "-"],
    [live, live, "--frob"],
    [live, live, "--snapshot", "x"],
  ]) {
    const { stdout, stderr } = await diff(t, args, 2);
    t.equal(stdout, "");
    t.match(stderr, /^qevm diff: .+\nusage: qevm diff A B/u);
  }
  const help = await qevm(["diff", "--help"]);
  t.match(help.stdout, /Exit 0: .+1: .+2: a file is refused/su, "--help tells the exit statuses");
  t.end();
});

test("an input that is wrong is told by its name", async (t) => {
  const cut = file("cut.mig", readFileSync(live).subarray(0, 200_000));
  for (const args of [
    [live, cut],
    [cut, live],
  ]) {
    const run = await diff(t, args, 2);
    t.equal(run.stdout, "", "no verdict");
    t.ok(run.stderr.startsWith(`${cut}: refused at byte 0x30d40, section 2 "ram" > record 31\n`), run.stderr);
    const json = await diff(t, [...args, "--json"], 2);
    const { error } = flatDocument(json.stdout) as { error: { side: string; streamOffset: number } };
    t.deepEqual([error.side, error.streamOffset], [args[0] === cut ? "a" : "b", 200_000]);
  }
  const lenient = await diff(t, [live, cut, "--lenient"], 1);
  t.match(lenient.stderr, /^warning: at byte 0x30d40, .*cut\.mig, section 2/u);
  t.match(lenient.stdout, /^complete: true \| false$/mu);
  t.match(
    lenient.stdout,
    /^DIFFERENT: \d+ pages, 1 at the end, 5 in RAM blocks, 30 in sections,\n {2}1 not decoded$/mu,
  );
  const missing = await diff(t, [live, join(work, "nothing")], 2);
  t.match(missing.stderr, /nothing: ENOENT/u);
  const nothing = await diff(t, [live, join(projectRoot(), "README.md")], 2);
  t.match(nothing.stderr, /README\.md: refused at byte 0x0\n {2}not a QEMU migration stream/u);
  t.end();
});

test("names that are long, and names that are not for a terminal", async (t) => {
  const name = `${"long-".repeat(30)}.mig`;
  const bytes = await rewrite(readFileSync(live), (item) => {
    if (item.kind === "configuration") item.configuration.machine = `\u001b[31m${"m".repeat(200)}`;
    return item;
  });
  const run = await diff(t, [live, file(name, bytes)], 1);
  t.match(run.stdout, /configuration machine/u);
  t.match(run.stdout, /\\x1b\[31m/u);
  t.end();
});

test("a field that was edited is found by its path", async (t) => {
  const folder = join(work, "unpacked");
  await qevm(["unpack", live, folder]);
  const device = join(
    folder,
    "devices",
    readdirSync(join(folder, "devices")).find((one) => /hpet/u.test(one))!,
  );
  const plain = JSON.parse(readFileSync(device, "utf8")) as { fields: { timer: Record<string, unknown>[] } };
  plain.fields.timer[1]!["cmp"] = "0x123456789abc";
  writeFileSync(device, JSON.stringify(plain));
  const edited = join(work, "edited.mig");
  t.equal((await qevm(["pack", folder, "--out", edited])).code, 0);
  const json = documentOf(await diff(t, [live, edited, "--json"], 1));
  t.deepEqual([json.differences, json.ram.ranges], [[], []], "nothing else");
  const [hpet] = json.devices;
  t.deepEqual(
    json.devices.map(({ section: name, instance, fields }) => [name, instance, fields.map(({ field: path }) => path)]),
    [["hpet", 0, ["timer[1].cmp"]]],
  );
  const [field] = hpet!.fields;
  t.equal(field?.kind === "value" && field.b, "0x123456789abc");
  t.equal(readFileSync(edited).readBigUInt64BE(field!.streamOffset.b!), 0x123456789abcn, "where it is");
  t.match((await diff(t, [live, edited], 1)).stdout, /^ {2}timer\[1\]\.cmp: 0x\w+ \| 0x123456789abc/mu);
  t.end();
});

test("--schema serves the stream that has no description", async (t) => {
  const bare = join(corpusEntry("suppress-vmdesc").folder, "stream.gz");
  const borrowed = documentOf(await diff(t, [bare, join(corpusEntry("compress-0").folder, "stream.gz"), "--json"], 1));
  t.equal(borrowed.a.describedBy, "of the other", "by itself it is read by the other's");
  t.doesNotMatch((await diff(t, [bare, bare], 0)).stdout, /^Not understood/mu, "else by the catalogue");
  const text = await diff(t, [bare, bare, "--schema", "none"], 0);
  t.match(text.stdout, /^Not understood in A: .+--schema CAPTURE/mu);
  const lent = documentOf(await diff(t, [bare, bare, "--schema", live, "--json"], 0));
  t.deepEqual([lent.a.describedBy, lent.a.opaqueBytes], ["lent", 0]);
  const own = documentOf(await diff(t, [bare, live, "--schema", other, "--json"], 1));
  t.equal(own.b.describedBy, "own", "one that has its own is read by that");
  t.end();
});

test("memory is bounded by the number of pages", async (t) => {
  const a = join(work, "large-a");
  const fd = openSync(a, "w");
  makePlainStream({ ram: 256 << 20, zero: 0.1 }, (chunk) => void writeSync(fd, chunk));
  closeSync(fd);
  const b = join(work, "large-b");
  copyFileSync(a, b);
  const place = await lastPage(a);
  const poked = openSync(b, "r+");
  writeSync(poked, Uint8Array.of(readByte(a, place + 100) ^ 1), 0, 1, place + 100);
  closeSync(poked);
  for (const run of [
    await diff(t, [a, b, "--json"], 1, { plain: true }),
    await diff(t, ["-", b, "--json"], 1, { plain: true, stdin: createReadStream(a) }),
  ]) {
    const { ram } = documentOf(run);
    t.deepEqual([ram.compared.different, ram.differentBytes, ram.ranges.length], [1, 1, 1]);
    t.ok(run.maxRss < 115e6, `${Math.round(run.maxRss / 1e6)} MB for two streams of 256 MiB`);
  }
  rmSync(a);
  rmSync(b);
  t.end();
});

/** Where the bytes of the last plain page of a stream are. */
async function lastPage(path: string): Promise<number> {
  const source = openSource(path);
  let place = 0;
  for await (const item of new StreamReader(source)) {
    if (item.kind !== "section") continue;
    for await (const batch of item.records()) {
      for (let i = 0; i < batch.count; i++) {
        if (batch.flag[i] === RamFlag.PAGE && batch.continues[i] === 1) place = batch.position[i]! + 8;
      }
    }
  }
  await source.close?.();
  return place;
}

function readByte(path: string, at: number): number {
  const fd = openSync(path, "r");
  const bytes = new Uint8Array(1);
  readSync(fd, bytes, 0, 1, at);
  closeSync(fd);
  return bytes[0]!;
}

const qemu = findQemu("7.2");
const skip = qemu === undefined ? { skip: "no QEMU 7.2 here" } : {};

const MACHINE = ["-machine", "pc", "-m", "16", "-nodefaults", "-vga", "none"];
const POKER = ["-qtest", "unix:$DIR/qtest.sock,server=on,wait=off", "-qtest-log", "none"];

async function letRun(vm: QemuProcess, milliseconds: number): Promise<void> {
  await vm.execute("cont");
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  await vm.execute("stop");
}

test("two saves of a real guest, a byte poked in between", skip, async (t) => {
  const boot = file("fill.img", fillGuest([{ start: 0x100000, end: 0x180000 }]));
  const vm = await QemuProcess.start(qemu!, [...MACHINE, ...POKER, "-drive", `file=${boot},format=raw,if=ide`]);
  try {
    // The guest fills its memory and halts: nothing but the clock goes on.
    await letRun(vm, 3000);
    const [first, second] = [join(work, "first"), join(work, "second")];
    copyFileSync(await saveStream(vm), first);
    await letRun(vm, 10);
    await poke(vm.file("qtest.sock"), 0x934567, 0xa5);
    copyFileSync(await saveStream(vm), second);
    const json = documentOf(await diff(t, [first, second, "--json"], 1));
    const [range] = json.ram.ranges;
    t.deepEqual([json.ram.compared.different, json.ram.differentBytes], [1, 1], "one byte of one page");
    t.deepEqual([range?.block, range?.blockOffset, String(range?.physical)], ["pc.ram", 0x934000, "0x934000"]);
    t.deepEqual([range?.first?.blockOffset, range?.first?.b.slice(0, 2)], [0x934567, "a5"]);
    // In how many rounds a source sends its RAM depends on how busy the machine is; that is how it came, not what came.
    const parts = json.differences.filter(({ level }) => level !== "encoding");
    t.deepEqual(parts, [], "the same parts");
    const devices = json.devices.map(({ section: name }) => name);
    t.ok(devices.includes("timer") && !devices.includes("cpu"), `clocks went on: ${devices.join(" ")}`);
    t.match((await diff(t, [first, second], 1)).stdout, /^ {4}at 0x934567 {2}A 00 .*\n +B a5 /mu);
  } finally {
    await vm.close();
  }
  t.end();
});

const noImages = spawnSync("qemu-img", ["--version"]).error !== undefined ? { skip: "no qemu-img here" } : skip;

test("two snapshots of one image: what the guest wrote, as pmemsave tells it", noImages, async (t) => {
  const image = join(work, "disk.qcow2");
  spawnSync("qemu-img", ["create", "-q", "-f", "qcow2", image, "1M"]);
  const boot = file("dirty.img", dirtyGuest([{ start: 0x100000, end: 0x180000 }]));
  const drives = ["-drive", `file=${boot},format=raw,if=floppy,readonly=on`, "-drive", `file=${image},if=ide`];
  const vm = await QemuProcess.start(qemu!, [...MACHINE, ...drives, "-boot", "a"]);
  const memories: Buffer[] = [];
  try {
    for (const name of ["before", "after"]) {
      await letRun(vm, name === "before" ? 3000 : 500);
      t.equal((await vm.human(`savevm ${name}`)).trim(), "");
      await vm.execute("pmemsave", { val: 0x100000, size: 15 << 20, filename: "$DIR/memory" });
      memories.push(readFileSync(vm.file("memory")));
    }
  } finally {
    await vm.close();
  }
  const json = documentOf(await diff(t, [image, image, "--snapshot", "before", "--snapshot", "after", "--json"], 1));
  const found = json.ram.ranges.flatMap(({ physical, length }) =>
    Array.from({ length: length / 4096 }, (_, i) => Number(String(physical ?? 0)) + 4096 * i).filter(
      (at) => at >= 0x100000,
    ),
  );
  const [before, after] = memories as [Buffer, Buffer];
  const wrote: number[] = [];
  for (let at = 0; at < before.length; at += 4096) {
    if (!before.subarray(at, at + 4096).equals(after.subarray(at, at + 4096))) wrote.push(0x100000 + at);
  }
  t.ok(wrote.length > 10, `${wrote.length} pages above 1 MiB`);
  t.deepEqual(found, wrote, "the same, at their guest-physical addresses");
  t.ok(
    json.devices.some(({ section: name }) => name === "cpu"),
    "its CPU went on",
  );
  t.ok(
    json.differences.some(({ subject: name }) => name === "snapshot"),
    "and which snapshots they are",
  );
  await diff(t, [image, image, "--snapshot", "after"], 0);
  const one = await diff(t, [image, live, "--snapshot", "after"], 1);
  t.match(one.stdout, /inside qcow2/u, "one name is for what is an image");
  const none = await diff(t, [image, image, "--snapshot", "nosuch"], 2);
  t.match(none.stderr, /nosuch/u);
  t.end();
});

/** Writes a byte of guest-physical memory over QEMU's qtest protocol. */
function poke(socket: string, address: number, value: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const client = createConnection(socket, () =>
      client.write(`writeb 0x${address.toString(16)} 0x${value.toString(16)}\n`),
    );
    client.on("error", reject);
    client.on("data", (answer) => {
      client.end();
      if (/^OK/mu.test(String(answer))) resolve();
      else reject(new Error(String(answer)));
    });
  });
}
