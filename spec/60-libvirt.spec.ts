/** libvirt save images written again: another XML, another stream, another compression, the container kept. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { libvirtImage } from "../src/io/container/index.js";
import { streamSink } from "../src/io/container/libvirt/write.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";
import { sha256Of } from "../tools/sha256.js";

const work = mkdtempSync(join(tmpdir(), "qevm-libvirt-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
const folder = join(projectRoot(), "corpus", "libvirt");
const capture = JSON.parse(readFileSync(join(folder, "capture.json"), "utf8")) as {
  pmemsave: Record<string, { start: number; length: number; sha256: string }[]>;
};
const FORMATS = ["raw", "gzip", "bzip2", "xz", "lzop", "zstd", "sparse"];

/** A real image as a file. */
function imageFile(format: string): string {
  const packed = format === "raw" || format === "sparse";
  const bytes = readFileSync(join(folder, `save.${format}${packed ? ".gz" : ""}`));
  const path = join(work, `save.${format}`);
  writeFileSync(path, packed ? gunzipSync(bytes) : bytes);
  return path;
}

/** The header by its words, the texts, and what comes after. Little-endian, as on the machine that saved. */
function parts(path: string): { words: number[]; xml: string; cookie: string; padding: Buffer; stream: Buffer } {
  const bytes = readFileSync(path);
  const words = Array.from({ length: 19 }, (_, k) => bytes.readUInt32LE(16 + 4 * k));
  const data = bytes.subarray(92, 92 + words[1]!);
  const cookieAt = words[4]!;
  const end = data.indexOf(0, cookieAt);
  return {
    words,
    xml: data.toString("utf8", 0, data.indexOf(0)),
    cookie: cookieAt === 0 ? "" : data.toString("utf8", cookieAt, end),
    padding: data.subarray(end),
    stream: bytes.subarray(92 + words[1]!),
  };
}

/** The stream of an image by the program that libvirt would run; undefined: not here. */
function unpacked(format: string, stream: Buffer): Buffer | undefined {
  if (format === "raw" || format === "sparse") return stream;
  const run = spawnSync(format, ["-dc"], { input: stream, maxBuffer: 1 << 28 });
  return run.error === undefined && run.status === 0 ? run.stdout : undefined;
}

function there(program: string): boolean {
  return program === "gzip" || spawnSync(program, ["--version"]).error === undefined;
}

async function convert(t: test.Test, from: string, to: string, args: readonly string[] = []): Promise<void> {
  const run = await qevm(["convert", from, "--out", to, "--to", "libvirt", ...args]);
  t.equal(run.code, 0, `${args.join(" ")} ${run.stderr}`);
}

async function checkMemory(t: test.Test, path: string, format: string): Promise<void> {
  const raw = join(work, "raw");
  t.equal((await qevm(["extract", path, "--format", "raw", "--out", raw])).code, 0);
  const memory = readFileSync(raw);
  for (const { start, length, sha256 } of capture.pmemsave[format]!) {
    const digest = sha256Of(memory.subarray(start, start + length));
    t.equal(digest, sha256, `memory from 0x${start.toString(16)}`);
  }
}

for (const format of FORMATS) {
  const skip = ["raw", "sparse"].includes(format) || there(format) ? {} : { skip: `no ${format} here` };
  test(`an image of libvirt is written again: ${format}`, skip, async (t) => {
    const image = imageFile(format);
    const again = join(work, "again");
    await convert(t, image, again);
    const [old, now] = [parts(image), parts(again)];
    t.deepEqual(now.words, old.words, "header");
    t.equal(now.xml, old.xml, "XML");
    t.equal(now.cookie, old.cookie, "cookie");
    t.ok(now.padding.equals(old.padding), "padding");
    const stream = unpacked(format, old.stream);
    t.ok(stream !== undefined && unpacked(format, now.stream)?.equals(stream), "the stream, byte for byte");
    if (format === "raw" || format === "sparse") t.ok(readFileSync(image).equals(readFileSync(again)), "the same file");
    t.equal((await qevm(["verify", again])).code, 0);
    t.end();
  });
}

test("an image whose saving broke off is read as far as it goes", async (t) => {
  const field = join(projectRoot(), "corpus", "field", "libvirt-part.bin");
  for (const command of ["inspect", "verify", "devices"]) {
    const strict = await qevm([command, field]);
    t.equal(strict.code, 2, command);
    t.match(strict.stderr, /incomplete libvirt save image: saving was interrupted or failed; --lenient reads/u);
    const lenient = await qevm([command, field, "--lenient"]);
    t.match(lenient.stderr, /warning: .*incomplete libvirt save image/u, `${command} --lenient`);
    t.match(lenient.stderr, /the input ends inside page data/u);
    t.notOk(lenient.stderr.includes("refused"));
  }
  const explained = await qevm(["explain", field]);
  t.match(explained.stdout, /truncated final record/u, "explain by itself");
  const page = await qevm(["report", field, "--out", join(work, "part.html")]);
  t.equal(page.code, 1);
  t.match(readFileSync(join(work, "part.html"), "utf8"), /LibvirtQemudPart|incomplete libvirt save image/u);
  // Each format of a whole image, with the magic that it has while it is being saved.
  for (const format of FORMATS) {
    const image = imageFile(format);
    const bytes = readFileSync(image);
    const part = join(work, "part");
    bytes.write("LibvirtQemudPart", 0, "latin1");
    writeFileSync(part, bytes);
    const [whole, run] = await Promise.all(
      [[image], [part, "--lenient"]].map(async (args) => await qevm(["inspect", "--json", ...args])),
    );
    t.equal(run!.code, 0, `${format} ${run!.stderr}`);
    const [a, b] = [whole!, run!].map(
      ({ stdout }) => flatDocument(stdout) as { complete: boolean; warnings: unknown[] },
    );
    t.deepEqual([a!.complete, b!.complete], [true, true], `${format}: all of it`);
    t.equal(b!.warnings.length, a!.warnings.length + 1, "with a warning");
    writeFileSync(part, bytes.subarray(0, 300));
    const cut = await qevm(["inspect", part, "--lenient"]);
    t.equal(cut.code, 1);
    t.match(cut.stderr, /ends inside the domain XML/u, "what has no stream is refused");
  }
  const memory = join(work, "part.raw");
  t.match(
    (await qevm(["extract", field, "--format", "raw", "--out", memory, "--lenient"])).stderr,
    /incomplete libvirt/u,
  );
  t.ok(
    readFileSync(memory).some((byte) => byte !== 0),
    "the pages that are there",
  );
  t.end();
});

test("another XML in its place, and one that needs more room", async (t) => {
  const image = imageFile("raw");
  const old = parts(image);
  const xml = join(work, "xml");
  const again = join(work, "again");
  const edited = old.xml
    .replace("<name>tiny</name>", "<name>größer</name>")
    .replace("</domain>", `<!--${"x".repeat(60_000)}--></domain>`);
  writeFileSync(xml, edited);
  await convert(t, image, again, ["--xml", xml]);
  const kept = parts(again);
  t.equal(kept.xml, edited, "the XML, in UTF-8");
  t.equal(kept.cookie, old.cookie, "the cookie after it");
  t.equal(kept.words[1], old.words[1], "the data area is as long as it was");
  t.equal(kept.words[4], Buffer.byteLength(edited) + 1, "cookieOffset");
  t.ok(
    kept.padding.every((byte) => byte === 0),
    "zeros after it",
  );
  t.ok(kept.stream.equals(old.stream), "the stream, at the same place");
  const large = old.xml.replace("</domain>", `<!--${"y".repeat(200_000)}--></domain>`);
  writeFileSync(xml, large);
  await convert(t, image, again, ["--xml", xml]);
  const grown = parts(again);
  t.equal(grown.xml, large);
  t.equal(grown.cookie, old.cookie);
  t.equal(
    grown.words[1],
    Buffer.byteLength(large) + 1 + Buffer.byteLength(old.cookie) + 1 + 65_536,
    "data_len with libvirt's padding",
  );
  t.ok(grown.stream.equals(old.stream), "the stream after it");
  await checkMemory(t, again, "raw");
  const sparse = imageFile("sparse");
  const refused = await qevm(["convert", sparse, "--out", join(work, "no"), "--to", "libvirt", "--xml", xml]);
  t.equal(refused.code, 2, "pages of a sparse image cannot move");
  t.match(refused.stderr, /does not fit into the \d+ bytes before the pages/u);
  writeFileSync(xml, edited);
  await convert(t, sparse, again, ["--xml", xml]);
  t.equal(parts(again).xml, edited, "a small edit of a sparse image");
  await checkMemory(t, again, "sparse");
  t.deepEqual(
    readdirSync(work).filter((name) => name.includes("partial")),
    [],
    "nothing is left",
  );
  t.end();
});

test("another compression, and another stream", async (t) => {
  const again = join(work, "again");
  for (const [from, to] of [
    ["xz", "raw"],
    ["raw", "gzip"],
    ["sparse", "gzip"],
    ["gzip", "sparse"],
    ...["zstd", "lzop", "bzip2", "xz"].filter((format) => there(format)).map((format) => ["gzip", format] as const),
  ] as const) {
    const image = imageFile(from);
    await convert(t, image, again, ["--compression", to]);
    const now = parts(again);
    t.equal(FORMATS[now.words[3]!], to, `${from} to ${to}`);
    t.equal(now.cookie, parts(image).cookie);
    await checkMemory(t, again, from);
  }
  await convert(t, imageFile("gzip"), again, ["--compression", "raw", "--ram", "zlib", "--machine", "pc-i440fx-9.0"]);
  const inspected = await qevm(["inspect", again, "--json"]);
  const { machine, ram } = flatDocument(inspected.stdout) as {
    machine: string;
    ram: { pages: { compressed: number } };
  };
  t.equal(machine, "pc-i440fx-9.0", "the stream is converted as well");
  t.ok(ram.pages.compressed > 0, `${ram.pages.compressed} compressed pages`);
  await checkMemory(t, again, "gzip");
  t.end();
});

test("gzip by members side by side: whole, bounded, and ended by a sink that fails", async (t) => {
  const bytes = Buffer.alloc(9 * (1 << 20) + 5, "a page of text; ");
  for (let at = 0; at < bytes.length; at += 4096) bytes.writeUInt32LE(at, at);
  const written: Buffer[] = [];
  const sink = streamSink("gzip", { write: (chunk) => void written.push(Buffer.from(chunk)) });
  for (let at = 0; at < bytes.length; at += 700_001) await sink.write(bytes.subarray(at, at + 700_001));
  t.ok(written.length > 4, `${written.length} members before the end`);
  await sink.end();
  t.equal(written.length, 10);
  t.ok(gunzipSync(Buffer.concat(written)).equals(bytes), "the members give the bytes");
  written.length = 0;
  await streamSink("gzip", { write: (chunk) => void written.push(Buffer.from(chunk)) }).end();
  t.equal(gunzipSync(Buffer.concat(written)).length, 0, "nothing is a gzip file, too");
  const full = streamSink("gzip", { write: () => Promise.reject(new Error("the disk is full")) });
  const failed = await Promise.resolve(full.write(bytes)).then(() => "written", String);
  t.equal(failed, "Error: the disk is full");
});

test("a new image round a bare stream", async (t) => {
  const stream = join(work, "stream");
  writeFileSync(stream, corpusEntry("pc-fill").open());
  const xml = join(work, "xml");
  writeFileSync(xml, "<domain type='qemu'><name>new</name></domain>\n");
  const again = join(work, "again");
  await convert(t, stream, again, ["--xml", xml]);
  const { words, xml: text, stream: inside } = parts(again);
  t.deepEqual(words.slice(0, 5), [2, text.length + 1 + 65_536, 0, 0, 0], "version 2, length, paused, raw, no cookie");
  t.ok(words.slice(5).every((word) => word === 0));
  t.ok(inside.equals(corpusEntry("pc-fill").open()));
  t.equal((await qevm(["verify", again])).code, 0);
  t.end();
});

test("a program that is not there, or fails, leaves nothing behind", async (t) => {
  const image = imageFile("raw");
  const before = readdirSync(work);
  const out = join(work, "failed");
  const bin = join(work, "bin");
  mkdirSync(bin);
  const path = process.env["PATH"];
  process.env["PATH"] = bin;
  try {
    const missing = await qevm(["convert", image, "--out", out, "--to", "libvirt", "--compression", "xz"]);
    t.equal(missing.code, 2);
    t.match(missing.stderr, /xz.*ENOENT/u);
    writeFileSync(join(bin, "xz"), "#!/bin/sh\necho no room >&2\nexit 3\n", { mode: 0o755 });
    const failing = await qevm(["convert", image, "--out", out, "--to", "libvirt", "--compression", "xz"]);
    t.equal(failing.code, 2);
    t.match(failing.stderr, /xz failed \(3\): no room/u);
  } finally {
    process.env["PATH"] = path;
    rmSync(bin, { recursive: true });
  }
  t.deepEqual(readdirSync(work), before);
  t.end();
});

test("wrong use", async (t) => {
  const image = imageFile("raw");
  const empty = join(work, "empty");
  writeFileSync(empty, "no XML");
  const out = join(work, "no");
  const cases: [string[], RegExp][] = [
    [["--xml", empty], /--xml goes with --to libvirt/u],
    [["--compression", "gzip"], /--compression goes with --to libvirt/u],
    [["--to", "libvirt", "--xml", empty], /this is not a domain XML/u],
    [["--to", "libvirt", "--compression", "rar"], /--compression takes raw, gzip/u],
    [["--to", "libvirt", "--compression", "sparse", "--ram", "normal"], /--ram does not go with a sparse image/u],
    [["--to", "vmware"], /--to takes stream, mapped-ram, recording or libvirt/u],
  ];
  for (const [args, message] of cases) {
    const run = await qevm(["convert", image, "--out", out, ...args]);
    t.equal(run.code, 2, args.join(" "));
    t.match(run.stderr, message);
  }
  const pipe = await qevm(["convert", image, "--out", "-", "--to", "libvirt"]);
  t.match(pipe.stderr, /cannot be written to standard output: --out PATH/u);
  const bare = join(work, "bare");
  writeFileSync(bare, corpusEntry("machine-none-tiny").open());
  const noXml = await qevm(["convert", bare, "--out", out, "--to", "libvirt"]);
  t.match(noXml.stderr, /--xml FILE gives the domain XML/u);
  t.equal((await refusal(() => libvirtImage(undefined, {})))?.code, "usage");
  t.notOk(readdirSync(work).includes("no"), "nothing is written");
  t.end();
});
