/** Streams that begin inside a file: `--stream-offset`, and the search that says where they are. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import test from "tape";
import { openStream } from "../src/index.js";
import { openContainers } from "../src/io/container/index.js";
import { startingAt } from "../src/io/container/sources.js";
import { diffStreams } from "../src/analyse/diff/index.js";
import { IterableSource, MemorySource, QemuFileReader } from "../src/bytes/index.js";
import { findStreams, isStreamHead } from "../src/codec/stream/search.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";

const MIB = 1 << 20;
const work = mkdtempSync(join(tmpdir(), "qevm-offset-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));

/** QEMU wrote this with `migrate file:F,offset=2M` and mapped-ram on. */
const packed = join(projectRoot(), "corpus", "field", "mapped-ram-at-2M.bin");
const mapped = join(work, "mapped");
writeFileSync(mapped, gunzipSync(readFileSync(packed)));

/** A plain stream after foreign bytes. */
const stream = corpusEntry("pc-never-run").open();
const AT = 3 * MIB + 5;
const shifted = join(work, "shifted");
writeFileSync(shifted, Buffer.concat([Buffer.alloc(AT, 0x51), stream]));
const bare = join(work, "bare");
writeFileSync(bare, stream);

async function ok(t: test.Test, args: string[]): Promise<string> {
  const run = await qevm(args);
  t.equal(run.code, 0, `${args.join(" ")} ${run.stderr}`);
  return run.stdout;
}

const folder = (name: string): string => join(work, name);

/** In small reads, so that heads lie across them. */
async function search(bytes: Uint8Array): Promise<number[]> {
  return (await findStreams(new QemuFileReader(new MemorySource(bytes, 4093), { bufferSize: 1 << 12 }))).offsets;
}

test("where a stream begins is said, with the option to type", async (t) => {
  for (const [file, at, option] of [
    [mapped, 2 * MIB, "2M"],
    [packed, 2 * MIB, "2M"],
    [shifted, AT, `0x${AT.toString(16)}`],
  ] as const) {
    const run = await qevm(["inspect", file, "--json"]);
    t.equal(run.code, 1);
    const { error } = flatDocument(run.stdout) as { error: { code: string; message: string; streamOffset: number } };
    t.deepEqual([error.code, error.streamOffset], ["bad-magic", 0]);
    const text = `not a QEMU migration stream; a stream begins at byte 0x${at.toString(16)}: --stream-offset ${option}`;
    t.equal(error.message, text);
  }
  const none = await qevm(["inspect", "-"], { stdin: Buffer.alloc(3 * MIB) });
  t.match(none.stderr, /not a QEMU migration stream; no stream begins in it/u);
  const wrong = await qevm(["inspect", mapped, "--stream-offset", "1M"]);
  t.equal(wrong.code, 1);
  t.match(wrong.stderr, /at byte 0x100000\n.*begins at byte 0x200000: --stream-offset 2M/u);
  const beyond = await qevm(["inspect", mapped, "--stream-offset", "1G"]);
  t.match(beyond.stderr, /the input ends before the offset of the stream/u);
  t.end();
});

test("only true heads of streams are found, in bounded time", async (t) => {
  const noise = Buffer.alloc(4 * MIB);
  noise.write("QEVM", 100);
  noise.write("QEVM\0\0\0\x03\0", MIB, "latin1");
  noise.write("QEVM\0\0\0\x03\x07\0\0\0\x05ab\0cd", 2 * MIB, "latin1");
  noise.write("QEVM\0\0\0\x02\x07\0\0\0\x02pc", 2 * MIB + 500, "latin1");
  t.deepEqual(await search(noise), []);
  const [a, b, c] = [MIB - 3, 2 * MIB - 1, 4 * MIB - stream.length];
  for (const at of [a, b, c]) stream.copy(noise, at, 0, at === c ? undefined : 200);
  t.deepEqual(await search(noise), [a, b, c], "across the reads");
  t.notOk(isStreamHead(stream.subarray(1)));
  const sparse = join(work, "sparse");
  writeFileSync(sparse, "");
  truncateSync(sparse, 2 ** 43);
  const run = await qevm(["inspect", sparse], { timeout: 60_000 });
  t.match(run.stderr, /no stream begins in its first 1 GiB/u, "8 TiB of hole");
  t.ok(run.seconds < 30, `${run.seconds} s`);
  t.end();
});

test("every command that reads a stream takes it at an offset", async (t) => {
  const offset = ["--stream-offset", "2M"];
  for (const file of [mapped, packed]) {
    t.match(await ok(t, ["inspect", file, ...offset]), /Understood: every byte/u);
    t.match(await ok(t, ["verify", file, ...offset]), /: identical/u);
    await ok(t, ["devices", file, ...offset]);
    await ok(t, ["explain", file, "--stream-offset=0x200000"]);
  }
  const raws = await Promise.all(
    [mapped, packed].map(async (file, k) => {
      await ok(t, ["extract", file, ...offset, "--format", "raw", "--out", folder(`raw${k}`)]);
      return readFileSync(folder(`raw${k}`));
    }),
  );
  t.ok(raws[0]!.equals(raws[1]!), "the same memory in the file and inside gzip");
  await ok(t, ["convert", mapped, ...offset, "--to", "stream", "--out", folder("plain")]);
  await ok(t, ["convert", mapped, ...offset, "--out", folder("moved")]);
  await ok(t, ["generate", "--template", mapped, ...offset, "--out", folder("generated")]);
  t.match(await ok(t, ["verify", folder("generated")]), /: identical/u, "a template");
  const name = ["--machine", "pc-i440fx-a-longer-name"];
  await ok(t, ["convert", mapped, ...offset, ...name, "--out", folder("renamed")]);
  t.match(await ok(t, ["verify", folder("renamed")]), /: identical/u, "a longer machine name moves the pages, too");
  t.match(await ok(t, ["verify", folder("moved")]), /: identical/u, "at the beginning, with places of its own");
  for (const file of ["plain", "moved"]) {
    const args = ["diff", mapped, folder(file), "--stream-offset", "2M", "--stream-offset", "0"];
    t.match(await ok(t, args), /same/u, `the same as what became ${file}`);
  }
  const at = ["--physical", "0x1000", "--length", "16"];
  const read = await ok(t, ["read", mapped, ...offset, ...at]);
  t.equal(read, await ok(t, ["read", folder("plain"), ...at]), "read");
  t.equal(read, await ok(t, ["read", packed, ...offset, ...at]), "read inside gzip");
  await ok(t, ["unpack", shifted, folder("unpacked"), `--stream-offset=${AT}`]);
  await ok(t, ["report", mapped, ...offset, "--out", folder("page.html")]);
  await ok(t, ["fuzz", "decode", shifted, "--cases", "2", `--stream-offset=${AT}`]);
  await ok(t, ["send", shifted, `exec:cat > ${folder("sent")}`, `--stream-offset=${AT}`]);
  t.ok(readFileSync(folder("sent")).equals(stream), "sent from its first byte");
  await ok(t, ["generate", "--template", shifted, `--stream-offset=${AT}`, "--out", folder("made")]);
  t.ok(readFileSync(folder("made")).equals(stream), "a template");
  const piped = await qevm(["inspect", "-", ...offset], { stdin: readFileSync(mapped) });
  t.equal(piped.code, 0, "from a pipe");
  const both = await qevm(["diff", shifted, shifted, `--stream-offset=${AT}`]);
  t.equal(both.code, 0, "one offset is for both");
  const recording = await qevm(["inspect", join(projectRoot(), "corpus", "recording-7.2-none"), ...offset]);
  t.equal(recording.code, 2, "a recording has none");
  t.end();
});

test("an index is of the stream at its offset", async (t) => {
  const two = join(work, "two");
  const other = corpusEntry("pc-fill").open();
  const second = Math.ceil(stream.length / 4096) * 4096;
  writeFileSync(two, Buffer.concat([stream, Buffer.alloc(second - stream.length), other]));
  const index = join(work, "index");
  const read = async (...more: string[]): Promise<string> => {
    const args = ["read", two, "--block", "pc.ram", "--length", "64", "--index", index, "--json", "--lenient"];
    const { index: how } = flatDocument(await ok(t, [...args, ...more])) as { index: string };
    return how;
  };
  t.equal(await read(), "made");
  t.equal(await read(), "used");
  t.equal(await read("--stream-offset", String(second)), "made", "another stream of the same file");
  t.equal(await read("--stream-offset", String(second)), "used");
  t.end();
});

test("the library takes an offset, too", async (t) => {
  const whole = readFileSync(shifted);
  for (const input of [whole, new Blob([whole]).stream(), shifted]) {
    const opened = await openStream(input, { offset: AT });
    t.match(opened.machine ?? "", /^pc-/u);
    let last = 0;
    for await (const item of opened) last = item.offset;
    t.ok(last > AT, "offsets are those of the input");
  }
  const zipped = await openStream(gzipSync(whole), { offset: AT });
  t.match(zipped.machine ?? "", /^pc-/u, "inside gzip");
  await zipped.close();
  const error = await refusal(async () => await openStream(whole));
  t.match(error?.what ?? "", new RegExp(`a stream begins at byte 0x${AT.toString(16)}`, "u"));
  const piped = await startingAt(new IterableSource([whole.subarray(0, 7), whole.subarray(7)]), AT);
  const source = await openContainers(piped);
  t.equal(source.offset, AT);
  const diff = await diffStreams(shifted, bare, { offsets: { a: AT } });
  t.equal(diff.a.machine?.startsWith("pc-"), true);
  t.end();
});
