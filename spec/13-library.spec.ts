import {
  closeSync,
  createReadStream,
  fstatSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import test from "tape";
import { MemorySource, openStream, QevmError, type FileVerification, type StreamInput } from "../src/index.js";
import * as node from "../src/node.js";
import type { ExtractOptions, MinimiseOptions, PackReport } from "../src/node.js";
import { corpusEntry } from "../tools/corpus.js";
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

test("every kind of input gives the same stream", async (t) => {
  const first = await walk(path);
  t.equal(first.machine, "pc-i440fx-7.2");
  t.ok(first.kinds.startsWith("header configuration section footer section"), "from its first item on");
  t.ok(first.kinds.endsWith("eof vmdescription"), "to its last");
  t.ok(first.pages > 1000, `${first.pages} pages`);
  const inputs: [string, StreamInput][] = [
    ["bytes", bytes],
    ["a Node stream", createReadStream(path)],
    ["a web stream", Readable.toWeb(createReadStream(path)) as ReadableStream<Uint8Array>],
    ["a source", new MemorySource(bytes)],
    ["a container", join(entry.folder, "stream.gz")],
    ["a container on a pipe", createReadStream(join(entry.folder, "stream.gz"))],
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
    t.equal(await codeOf(() => stream.close()), undefined, `${what}: closed behind its iteration`);
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
    ["no stream", Buffer.from("hello, this is no stream"), "bad-magic"],
    ["an empty one", new Uint8Array(0), "truncated"],
  ] as const) {
    const error: unknown = await openStream(input).catch((reason: unknown) => reason);
    t.equal(error instanceof QevmError ? error.code : error, code, what);
  }
});

test("a bundle for the browser needs no Node API", async (t) => {
  const contents = `export { openStream, inspectStream, verifyStream } from ${JSON.stringify(library)};`;
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
  const { openStream: opened } = (await import(bundle)) as { openStream: typeof openStream };
  const kinds: string[] = [];
  for await (const item of await opened(bytes)) kinds.push(item.kind);
  t.ok(kinds.length > 10 && kinds.includes("eof"), `${kinds.length} items of a capture's bytes`);
  const error = await opened(path).then(
    () => undefined,
    (thrown: unknown) => String(thrown),
  );
  t.match(error ?? "", /a path can be opened in Node only/u);
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

test("parameter and result types can be imported", (t) => {
  const packed: PackReport = { bytes: 0, edits: { becamePages: 0, recompressed: 0, added: 0 } };
  const [extracting, minimising]: [ExtractOptions, MinimiseOptions] = [{}, {}];
  const verified: FileVerification[] = [];
  t.ok(packed && extracting && minimising && verified);
  t.end();
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
