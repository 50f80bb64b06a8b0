import {
  closeSync,
  createReadStream,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { gzipSync } from "node:zlib";
import test from "tape";
import {
  explainStream,
  inspectStream,
  MemorySource,
  openStream,
  QevmError,
  verifyStream,
  type StreamInput,
} from "../src/index.js";
import * as node from "../src/node.js";
import { corpusEntry } from "../tools/corpus.js";
import { BlobSource } from "../src/bytes/index.js";
import { refusal } from "./support/bytes.js";

const entry = corpusEntry("pc-firmware");
const bytes = entry.open();
const folder = mkdtempSync(join(tmpdir(), "qevm-library-"));
const path = join(folder, "vm.mig");
/** As shipped, with package.json. */
const library = fileURLToPath(new URL("../../dist/src/index.js", import.meta.url));
writeFileSync(path, bytes);
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));

async function walk(input: StreamInput): Promise<{ machine: string | undefined; kinds: string; pages: number }> {
  const stream = await openStream(input);
  const { machine } = stream;
  const kinds: string[] = [];
  let pages = 0;
  for await (const item of stream) {
    kinds.push(item.kind);
    if (item.kind !== "section") continue;
    for await (const batch of item.records()) for (const record of batch) if (record.block !== undefined) pages++;
  }
  return { machine, kinds: kinds.join(" "), pages };
}

const blobOf = (content: Uint8Array): Blob => new Blob([Uint8Array.from(content)]);

/** Where the system shows it. */
function openFiles(): number {
  return process.platform === "linux" ? readdirSync("/proc/self/fd").length : 0;
}

async function codeOf(work: () => Promise<void>): Promise<unknown> {
  return await work().then(
    () => undefined,
    (error: unknown) => (error instanceof QevmError ? error.code : error),
  );
}

test("a Blob is read in sequence by one stream, and from where it was sought", async (t) => {
  const content = Uint8Array.from({ length: 100_000 }, (_, k) => (k * 7919) >> 5);
  let slices = 0;
  const counted = (blob: Blob): Blob => {
    const slice = blob.slice.bind(blob);
    return Object.assign(blob, { slice: (...range: [number?, number?]) => (slices++, slice(...range)) });
  };
  // A stream without its own buffers, as older browsers have.
  const chunked = Object.assign(blobOf(content), {
    slice: (from = 0, to = content.length) => {
      const part = blobOf(content.subarray(from, to));
      const stream = () => new ReadableStream({ start: (sink) => (sink.enqueue(content.slice(from)), sink.close()) });
      return Object.assign(part, { stream });
    },
  });
  for (const blob of [counted(blobOf(content)), chunked]) {
    const source = new BlobSource(blob);
    const into = new Uint8Array(777);
    const read: number[] = [];
    for (let n = await source.read(into); n > 0; n = await source.read(into)) read.push(...into.subarray(0, n));
    t.deepEqual(Uint8Array.from(read), content, "every byte");
    t.equal(await source.read(into), 0, "and the end again");
    source.seek(90_000);
    for (const at of [90_000, 90_777, 91_554]) {
      const n = await source.read(into);
      t.deepEqual(into.subarray(0, n), content.subarray(at, at + n), `from ${at}`);
      t.equal(n, 777);
    }
    source.seek(5);
    t.equal(await source.read(into), 777);
    t.deepEqual(into, content.subarray(5, 782), "back");
    source.close();
  }
  t.ok(slices < 10, `${slices} slices`);
});

test("every kind of input gives the same stream", async (t) => {
  const first = await walk(path);
  t.equal(first.machine, "pc-i440fx-7.2");
  t.ok(first.kinds.startsWith("header configuration section footer section"), "from its first item on");
  t.ok(first.kinds.endsWith("eof vmdescription"), "to its last");
  t.ok(first.pages > 1000, `${first.pages} pages`);
  const inputs: [string, StreamInput][] = [
    ["bytes", bytes],
    ["a Node stream", createReadStream(path)],
    ["a blob", blobOf(bytes)],
    ["a web stream", Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array>],
    ["a source", new MemorySource(bytes)],
    ["a container", join(entry.folder, "stream.gz")],
    ["a container in a blob", blobOf(readFileSync(join(entry.folder, "stream.gz")))],
    ["a container on a pipe", createReadStream(join(entry.folder, "stream.gz"))],
    ["an input that was opened", await node.openInput(join(entry.folder, "stream.gz"))],
  ];
  for (const [what, input] of inputs) t.deepEqual(await walk(input), first, what);
});

test("properties known before the first item", async (t) => {
  const stream = await openStream(path);
  t.deepEqual(
    [stream.machine, stream.pageSize, stream.capabilities, stream.containers],
    ["pc-i440fx-7.2", 4096, [], []],
  );
  await stream.close();
  const wrapped = await openStream(join(entry.folder, "stream.gz"));
  t.deepEqual(wrapped.containers, [{ kind: "gzip" }]);
  await wrapped.close();
  const old = await openStream(corpusEntry("pc-2.3").open());
  t.equal(old.machine, undefined, "machine types up to 2.3 have no configuration");
  const kinds: string[] = [];
  for await (const item of old) kinds.push(item.kind);
  t.equal(kinds.slice(0, 2).join(), "header,section", "and nothing is lost of such a stream");
  t.ok(old.complete, "complete");
});

/** Files that were handed over as sources, which stay open. */
const given: node.FileSource[] = [];

/** Every way to hand over the small capture of machine type "none", whose plain bytes are `plain`. */
function smallInputs(packed: string, plain: Uint8Array): [string, () => StreamInput][] {
  return [
    ["a path", () => packed],
    ["bytes", () => plain],
    ["packed bytes", () => readFileSync(packed)],
    ["a blob", () => blobOf(plain)],
    ["a Node stream", () => createReadStream(packed)],
    ["a web stream", () => blobOf(plain).stream()],
    ["a source", () => new MemorySource(plain)],
    ["a file as a source", () => given[given.push(node.FileSource.open(packed)) - 1]!],
  ];
}

test("every function that reads a stream takes every kind of input", async (t) => {
  const none = corpusEntry("machine-none");
  const packed = join(none.folder, "stream.gz");
  const plain = none.open();
  const before = openFiles();
  const results = new Map<string, unknown>();
  for (const [what, input] of smallInputs(packed, plain)) {
    const inspection = await inspectStream(input());
    t.ok(inspection.complete, `${what}: inspected`);
    const { inspection: verified, ...verification } = await verifyStream(input());
    const { inspection: explained, ...explanation } = await explainStream(input());
    const report = await node.reportStream(input(), { name: "vm", verify: false });
    const { a, b, ...diff } = await node.diffStreams(input(), plain);
    t.equal(diff.verdict, "identical", `${what}: compared`);
    t.deepEqual([verified.container, explained.machine, a.container], [inspection.container, "none", a.container]);
    const memory = await node.openMemory(input());
    const page = await memory.readBlock("ram", 0, 4096);
    await memory.close();
    const { pages: loaded, blocks } = await node.loadStream(input(), new node.FlatMemory());
    const work = mkdtempSync(join(folder, "each-"));
    const { streamLength: converted } = await node.convertToFile(input(), join(work, "converted"), { ram: "normal" });
    const { items } = await node.unpackStream(input(), join(work, "unpacked"));
    await node.packFolder(join(work, "unpacked"), join(work, "packed"));
    t.ok(readFileSync(join(work, "packed")).equals(plain), `${what}: unpacked and packed again`);
    const wrapped = /path|packed|Node|file/u.test(what) ? "gzip" : null;
    t.equal(inspection.container, wrapped, `${what}: ${wrapped ?? "bare"}`);
    const same = {
      inspection: { ...inspection, container: null },
      verification,
      explanation,
      damage: report.damage,
      b,
      loaded,
      blocks,
      converted,
      items,
      page: Buffer.from(page).toString("hex"),
    };
    results.set(
      what,
      JSON.stringify(same, (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value)),
    );
  }
  const [[, first] = []] = results;
  for (const [what, result] of results) t.equal(result, first, `${what}: the same of all`);
  for (const source of given) source.close();
  for (let turn = 0; turn < 250 && openFiles() > before; turn++) await sleep(20);
  t.ok(openFiles() <= before, "what was opened is closed");
});

test("a source that was given stays open, and what is not an input is refused", async (t) => {
  const source = node.FileSource.open(path);
  await inspectStream(source);
  t.equal(source.readAt(0, new Uint8Array(4)), 4, "it can be read afterwards");
  source.close();
  const old = Buffer.from(bytes);
  old.writeUInt32BE(99, 4);
  let [read, returned] = [0, false];
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      for (; read < old.length; read += 4096) yield await Promise.resolve(old.subarray(read, read + 4096));
    } finally {
      returned = true;
    }
  }
  t.equal(await codeOf(async () => void (await verifyStream(chunks()))), "unsupported-version");
  t.ok(returned && read < old.length, `chunks are let go of after ${read} of ${old.length} bytes`);
  for (const wrong of [undefined, null, 5, {}, [], new ArrayBuffer(4)]) {
    t.equal(await codeOf(async () => void (await openStream(wrong as StreamInput))), "usage", typeof wrong);
  }
});

test("guest memory by address and by block", async (t) => {
  const memory = await node.openMemory(path);
  t.equal(memory.machine, "pc-i440fx-7.2");
  const low = await memory.readPhysical(0xf0000, 65536);
  const bios = memory.blocks.find(({ name }) => name === "pc.bios");
  t.ok(bios !== undefined && low.some((byte) => byte !== 0), "the BIOS is in the first megabyte");
  const top = await memory.readPhysical(0xfffffff0, 16);
  t.deepEqual(top, await memory.readBlock("pc.bios", bios!.length - 16, 16), "and below 4 GiB, at the reset vector");
  t.ok(memory.layout.segments.length > 1);
  t.equal((await refusal(() => memory.readPhysical(0x8000_0000, 16)))?.code, "usage", "no memory there");
  await memory.close();
  const index = join(folder, "vm.index");
  for (const _ of ["made", "used"]) {
    const indexed = await node.openMemory(path, { index });
    t.deepEqual(await indexed.readPhysical(0xfffffff0, 16), top, "by an index");
    await indexed.close();
  }
  t.equal((await refusal(() => node.openMemory(bytes, { index })))?.code, "usage", "an index is kept beside a file");
});

test("devices by name", async (t) => {
  const stream = await openStream(path);
  const cpu = await stream.device("cpu", 0);
  t.equal(cpu.fields["env.eip"], 0x12839n, "env.eip");
  t.ok(cpu.subsections.length > 0, "subsections");
  await stream.close();
  const missing: unknown = await stream.device("nothing").catch((error: unknown) => error);
  t.equal(missing instanceof QevmError ? missing.code : missing, "unknown-reference");
  const once = await openStream(createReadStream(path));
  const early: unknown = await once.device("cpu").catch((error: unknown) => error);
  t.equal(early instanceof QevmError ? early.code : early, "usage", "an input that can be read once");
  for await (const _ of once);
  t.deepEqual(await once.device("cpu"), cpu, "knows its devices when it was iterated");
});

test("a stream without description is complete after iteration", async (t) => {
  const bare = corpusEntry("suppress-vmdesc").open();
  const stream = await openStream(bare);
  for await (const _ of stream);
  t.ok(stream.complete, "whole");
  const cut = await openStream(bare.subarray(0, -1));
  for await (const _ of cut);
  t.notOk(cut.complete, "its last byte missing");
  const { bytes: read } = await node.loadStream(new MemorySource(bare), new node.FlatMemory());
  t.equal(read, bare.length, "and can be loaded");
});

test("a stream is iterated once and closed once", async (t) => {
  const packed = join(entry.folder, "stream.gz");
  for (const [what, input] of [
    ["a file", () => path],
    ["a container", () => packed],
    ["chunks", () => createReadStream(path)],
    ["a file as a source", () => node.FileSource.open(path)],
  ] as const) {
    const before = openFiles();
    const stream = await openStream(input());
    for await (const _ of stream);
    const mine = openSync(join(entry.folder, "stream.gz"), "r");
    t.equal(
      await codeOf(async () => {
        for await (const _ of stream);
      }),
      "usage",
      `${what}: iterated again`,
    );
    t.equal(await codeOf(() => stream.close()), undefined, `${what}: closed after its iteration`);
    t.equal(await codeOf(() => stream.close()), undefined, `${what}: and again`);
    t.doesNotThrow(() => fstatSync(mine), `${what}: a file that was opened since stays open`);
    closeSync(mine);
    const unread = await openStream(input());
    await unread.close();
    await unread.close();
    t.equal(
      await codeOf(async () => {
        for await (const _ of unread);
      }),
      "usage",
      `${what}: iterated when it was closed`,
    );
    const left = await openStream(input());
    for await (const _ of left) break;
    t.equal(
      await codeOf(async () => {
        for await (const _ of left);
      }),
      "usage",
      `${what}: iterated after a break`,
    );
    await left.close();
    // Node's own stream closes its file later.
    if (what !== "chunks") t.equal(openFiles(), before, `${what}: nothing stays open`);
  }
  const source = node.FileSource.open(path);
  source.close();
  const mine = openSync(path, "r");
  source.close();
  t.doesNotThrow(() => fstatSync(mine), "a source closed twice");
  t.throws(() => source.read(new Uint8Array(8)), /was closed/u, "and it reads nobody else's file");
  closeSync(mine);
});

test("errors of an input", async (t) => {
  for (const [what, input, code] of [
    ["no file", join(folder, "nothing"), "io"],
    ["no stream", Buffer.from("hello, this is not a stream"), "bad-magic"],
    ["an empty one", new Uint8Array(0), "truncated"],
  ] as const) {
    const error: unknown = await openStream(input).catch((reason: unknown) => reason);
    t.equal(error instanceof QevmError ? error.code : error, code, what);
  }
});

test("a bundle for the browser needs no Node API", async (t) => {
  const codec = library.replace(/index\.js$/u, "codec.js");
  const contents = `export * from ${JSON.stringify(library)}; export * as codec from ${JSON.stringify(codec)};`;
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: folder },
    bundle: true,
    write: false,
    platform: "browser",
    format: "esm",
    logLevel: "silent",
    // As in a browser, in any environment.
    define: { "globalThis.process": "undefined" },
  });
  const bundle = join(folder, "bundle.mjs");
  writeFileSync(bundle, outputFiles[0]!.contents);
  type Library = typeof import("../src/index.js") & { codec: typeof import("../src/codec.js") };
  const bundled = (await import(bundle)) as Library;
  const { openStream: opened } = bundled;
  const kinds: string[] = [];
  for await (const item of await opened(bytes)) kinds.push(item.kind);
  t.ok(kinds.length > 10 && kinds.includes("eof"), `${kinds.length} items of a capture's bytes`);
  const error = await opened(path).then(
    () => undefined,
    (thrown: unknown) => String(thrown),
  );
  t.match(error ?? "", /a path can be opened in Node only/u);
  const blob = blobOf(bytes);
  t.equal((await bundled.inspectStream(blob)).machine, "pc-i440fx-7.2", "a blob is inspected");
  t.ok((await bundled.verifyStream(blob)).identical, "verified");
  const members = [bytes.subarray(0, 1000), bytes.subarray(1000)].map((part) => gzipSync(part));
  const packed = await bundled.inspectStream(blobOf(Buffer.concat(members)));
  t.deepEqual(
    [packed.container, packed.machine],
    ["gzip", "pc-i440fx-7.2"],
    "containers are opened, here of two members",
  );
  t.deepEqual((await bundled.explainStream(blob)).faults, [], "explained");
  const page = new Uint8Array(4096);
  t.equal(bundled.codec.decodeXbzrle(page, Uint8Array.of(0x10, 0x01, 0x2a)), 17, "and the codecs are there");
});

test("a missing monitor, and a silent one", async (t) => {
  const error = await refusal(() => node.QmpClient.connect(join(folder, "nobody")));
  t.equal(error?.code, "io");
  t.match(error?.message ?? "", /QMP .*nobody: .*ENOENT/u);
  const server = createServer((socket) => socket.on("error", () => undefined).resume());
  await new Promise<void>((resolve) => server.listen(join(folder, "mute"), resolve));
  t.match((await refusal(() => node.QmpClient.connect(join(folder, "mute"), 100)))?.message ?? "", /in 100 ms/u);
  await new Promise((resolve) => server.close(resolve));
  t.pass("the connection is closed: the server waits for it");
});

test("qevm/node has the exports of the chapters", (t) => {
  const names = new Set(Object.keys(node));
  for (const name of [
    "RamSave",
    "loadStream",
    "createDeflater",
    "convertStream",
    "extractPhysical",
    "generateNone",
    "sendStream",
    "runDecode",
  ]) {
    t.ok(names.has(name), name);
  }
  t.end();
});
