import { isRandom, type RandomSource } from "../src/bytes/source.js";
/** `qevm read`: some bytes of guest memory without extracting it, with and without an index. */
import { spawnSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { openContainers, openInput } from "../src/io/container/index.js";
import { extractBlocks } from "../src/guest/files/extract-blocks.js";
import { layoutOf, scanPages, type GuestPages } from "../src/guest/read/guest-memory.js";
import { indexedPages, variantOf } from "../src/guest/read/indexed-pages.js";
import { blockRange, physicalRange, readParts } from "../src/guest/read/range.js";
import { MemorySink, MemorySource, QemuFileWriter } from "../src/bytes/index.js";
import { encodeBlockEntry, indexMappedRam, mappedHeader } from "../src/codec/ram/index.js";
import { createStreamWriter } from "../src/codec/stream/index.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";
import { sha256Of } from "../tools/sha256.js";
import { indexParts, indexWith } from "../tools/streams/page-index.js";

const work = mkdtempSync(join(tmpdir(), "qevm-read-spec-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
const PAGE = 4096;

/** A corpus stream as a file. */
function streamFile(name: string): string {
  const path = join(work, name);
  writeFileSync(path, corpusEntry(name).open());
  return path;
}

async function all(pages: GuestPages, parts: Parameters<typeof readParts>[1]): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const bytes of readParts(pages, parts)) chunks.push(Buffer.from(bytes));
  return Buffer.concat(chunks);
}

// Plain, live with repeated pages, compressed, XBZRLE, both, other versions; NUMA and firmware.
const NAMES = [
  "pc-fill",
  "live",
  "compress-live",
  "xbzrle",
  "xbzrle-compress",
  "v10.0-xbzrle",
  "v5.2-live",
  "numa",
  "q35-firmware",
];

for (const name of NAMES) {
  test(`every page read from its place is the stopped source's: ${name}`, async (t) => {
    const { truth } = corpusEntry(name);
    const file = streamFile(name);
    for (const how of ["by a scan", "by a new index", "by the index kept"]) {
      const input = await openInput(file);
      const options = { devices: true, file, index: `${file}.index`, variant: variantOf([], {}), say: () => undefined };
      const opened = how === "by a scan" ? undefined : await indexedPages(input, options);
      const pages = opened?.pages ?? (await scanPages(input, { devices: true }));
      if (opened !== undefined) t.equal(opened.index, how === "by a new index" ? "made" : "used");
      let compared = 0;
      for (const block of truth.blocks) {
        if (block.sha256 === undefined || !pages.blocks.some((one) => one.name === block.name)) continue;
        const content = await all(pages, blockRange(pages.blocks, block.name, 0, block.length));
        if (sha256Of(content) !== block.sha256) t.fail(`${how}: ${block.name}`);
        compared++;
      }
      t.ok(compared >= 3, `${how}: ${compared} blocks are the same`);
      const layout = opened?.layout ?? layoutOf(pages);
      for (const { start, length, sha256: shown } of truth.pmemsave) {
        t.equal(
          sha256Of(await all(pages, physicalRange(layout, start, length))),
          shown,
          `${how}: 0x${start.toString(16)}`,
        );
      }
      opened?.pages.close();
      await input.close?.();
    }
    t.end();
  });
}

test("an index is used only for the file that it is of", async (t) => {
  const file = streamFile("live");
  const index = join(work, "kept");
  const asked = ["read", file, "--block", "pc.ram", "--offset", "0x7c00", "--length", "16", "--raw", "--index", index];
  const right = "\u00fa\u00fc1\u00c0\u008e\u00d8\u00e4\u0092\f\u0002\u00e6\u0092\u000f\u0001\u0016\u001e";
  const ask = async (message: RegExp, what: string): Promise<void> => {
    const run = await qevm(asked);
    t.equal(run.code, 0, `${what}: taken`);
    t.equal(
      Buffer.from(run.stdout).length > 0 && sha256Of(Buffer.from(run.stdout)),
      sha256Of(Buffer.from(text)),
      `${what}: right`,
    );
    t.match(run.stderr, message, what);
  };
  const text = Buffer.from(right, "latin1").toString();
  await ask(/it is not there yet; made now/u, "no index");
  await ask(/^$/u, "the index just made");
  const good = readFileSync(index);
  const damage = (at: number): void => {
    const bytes = Buffer.from(good);
    bytes[at]! ^= 0x40;
    writeFileSync(index, bytes);
  };
  writeFileSync(index, "");
  await ask(/it is empty; made now/u, "an empty file");
  damage(8);
  await ask(/its format has version \d+; made now/u, "another version");
  damage(60);
  await ask(/it is damaged; made now/u, "a damaged head");
  damage(14);
  await ask(/it is damaged; made now/u, "a wrong length");
  writeFileSync(index, good.subarray(0, good.length - 1));
  await ask(/it is damaged; made now/u, "a cut index");
  for (const at of chunkBytes(good, "pc.ram")) {
    damage(at);
    await ask(/the index is damaged; rebuilt/u, `a damaged chunk (byte ${at})`);
  }
  t.ok(readFileSync(index).equals(good), "the rebuilt index equals the first one");
  await ask(/^$/u, "and is used");
  const { atime, mtime } = statSync(file);
  const bytes = readFileSync(file);
  writeFileSync(file, Buffer.concat([bytes, Buffer.alloc(16)]));
  await ask(/it is of a file of \d+ bytes, this one has \d+; made now/u, "a longer file");
  writeFileSync(file, bytes);
  await ask(/made now/u, "the old length again");
  utimesSync(file, atime, new Date(mtime.getTime() + 5000));
  await ask(/the file was changed since; made now/u, "another time");
  const stamp = statSync(file);
  const other = Buffer.from(bytes);
  other[other.length - 3]! ^= 1;
  writeFileSync(file, other);
  utimesSync(file, stamp.atime, stamp.mtime);
  await ask(/the file (?:has other content|was changed since); made now/u, "other content, same size");
  const lenient = await qevm([...asked, "--lenient"]);
  t.match(lenient.stderr, /made with other options; made now/u, "another way of reading");
  for (const mine of ["mine", "QEVMPAG", bytes]) {
    writeFileSync(index, mine);
    const run = await qevm(asked);
    t.equal(run.code, 2);
    t.match(run.stderr, /that file is not an index; it is left as it is/u);
    t.ok(readFileSync(index).equals(Buffer.from(mine)), "a file of somebody's is left as it is");
  }
  rmSync(index);
  symlinkSync(file, index);
  t.match((await qevm(asked)).stderr, /--index names the stream itself/u, "by another name, too");
  t.end();
});

/** The first, a middle and the last byte of a block's chunks in an index. */
function chunkBytes(index: Buffer, block: string): number[] {
  const head = index.readUInt32LE(12);
  const { chunks } = JSON.parse(index.toString("utf8", 48, 48 + head)) as {
    chunks: { block: string; at: number; length: number }[];
  };
  const own = chunks.filter((chunk) => chunk.block === block);
  return own.flatMap(({ at, length }) => [0, length - 1].map((byte) => 48 + head + at + byte));
}

test("a place with another record is not taken for the right one", async (t) => {
  const file = streamFile("pc-fill");
  const index = join(work, "moved");
  const options = { devices: true, file, index, variant: "v", say: () => undefined };
  const input = await openInput(file);
  await indexedPages(input, options);
  // An index whose checksums are right, and which is wrong: every record 4,104 bytes further on.
  const bytes = readFileSync(index);
  const parts = indexParts(bytes);
  const head = JSON.parse(parts.head) as { chunks: { at: number; length: number; sha256: string }[] };
  const { body } = parts;
  for (let at = 0; at < body.length; at += 12) body.writeDoubleLE(body.readDoubleLE(at + 4) + 4104, at + 4);
  for (const chunk of head.chunks) chunk.sha256 = sha256Of(body.subarray(chunk.at, chunk.at + chunk.length));
  writeFileSync(index, indexWith(bytes, JSON.stringify(head), body));
  const said: string[] = [];
  const moved = await indexedPages(input, { ...options, say: (line) => said.push(line) });
  t.equal(moved.index, "used");
  const content = await all(moved.pages, blockRange(moved.pages.blocks, "pc.ram", 0, 16 << 20));
  const truth = corpusEntry("pc-fill").truth.blocks.find(({ name }) => name === "pc.ram");
  t.equal(sha256Of(content), truth?.sha256, "the memory is right all the same");
  t.deepEqual(said, [`index ${index}: no record of this page; rebuilt`]);
  moved.pages.close();
  await input.close?.();
  t.end();
});

test("hex as xxd prints it, raw, JSON", async (t) => {
  const file = streamFile("q35-firmware");
  const raw = join(work, "raw");
  t.equal((await qevm(["extract", file, "--format", "raw", "--out", raw])).code, 0);
  const whole = readFileSync(raw);
  for (const [start, length] of [
    [0, 300],
    [0xf0ff7, 4099],
    [0x9fff0, 16],
    [0xfffff, 2],
    [0x2ff001, 1],
  ] as const) {
    const asked = ["read", file, "--physical", `0x${start.toString(16)}`, "--length", String(length)];
    const shown = await qevm(asked);
    t.equal(shown.code, 0, shown.stderr);
    const xxd = spawnSync("xxd", ["-s", String(start), "-l", String(length), raw], { encoding: "utf8" });
    if (xxd.error === undefined)
      t.equal(shown.stdout, xxd.stdout, `${length} bytes from 0x${start.toString(16)}, as xxd shows them`);
    else t.comment("no xxd here");
    const json = flatDocument((await qevm([...asked, "--json"])).stdout) as { hex: string; machine: string };
    t.equal(json.hex, whole.toString("hex", start, start + length), "JSON");
    t.equal(json.machine, "pc-q35-7.2");
  }
  const sink = await qevm(["read", file, "--physical", "0x100000", "--length", "8"]);
  const bytes = whole.subarray(0x100000, 0x100008);
  const groups = [0, 2, 4, 6].map((at) => bytes.toString("hex", at, at + 2)).join(" ");
  const letters = [...bytes].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
  t.equal(sink.stdout, `00100000: ${groups.padEnd(39)}  ${letters}\n`);
  t.end();
});

test("pipes, compressed files and containers", async (t) => {
  const { open, folder } = corpusEntry("live");
  const bytes = open();
  const asked = ["--physical", "0x7bf8", "--length", "24"];
  const right = await qevm(["read", streamFile("live"), ...asked]);
  t.match(right.stdout, /^00007bf8: [0-9a-f ]+ {2}.{16}\n00007c08: /u);
  const piped = await qevm(["read", "-", ...asked], { stdin: bytes });
  t.equal(piped.stdout, right.stdout, `a pipe ${piped.stderr}`);
  const packed = await qevm(["read", join(folder, "stream.gz"), ...asked]);
  t.equal(packed.stdout, right.stdout, "gzip");
  const refused = await qevm(["read", join(folder, "stream.gz"), ...asked, "--index", join(work, "no")]);
  t.equal(refused.code, 2, "no index of what cannot be sought");
  const libvirt = join(projectRoot(), "corpus", "libvirt");
  const capture = JSON.parse(readFileSync(join(libvirt, "capture.json"), "utf8")) as {
    pmemsave: Record<string, { start: number; length: number; sha256: string }[]>;
  };
  for (const format of ["raw", "sparse"]) {
    const source = await openContainers(new MemorySource(gunzipSync(readFileSync(join(libvirt, `save.${format}.gz`)))));
    const pages = await scanPages(source, { devices: true });
    for (const { start, length, sha256: shown } of capture.pmemsave[format]!) {
      t.equal(sha256Of(await all(pages, physicalRange(layoutOf(pages), start, length))), shown, `libvirt ${format}`);
    }
  }
  t.end();
});

test("wrong use and wrong places", async (t) => {
  const file = streamFile("machine-none-tiny");
  const cases: [string[], number, RegExp][] = [
    [[], 2, /--physical, --virtual or --block says where/u],
    [["--physical", "0", "--block", "ram"], 2, /--physical, --virtual or --block says where/u],
    [["--physical", "0", "--offset", "0"], 2, /--offset goes with --block/u],
    [["--block", "ram", "--layout", "ram@0"], 2, /--layout goes with --physical/u],
    [["--block", "nothing"], 2, /no RAM block "nothing": there are "ram"/u],
    [["--block", "ram", "--offset", "0xff80"], 2, /RAM block "ram" has 0x10000 bytes/u],
    [["--physical", "0x7000000"], 2, /no memory at address 0x7000000/u],
    [["--block", "ram", "--json", "--length", "0x2000000"], 2, /--json prints at most/u],
    [["--block", "ram", "--json", "--raw"], 2, /exclude each other/u],
    [["--block", "ram", "--index", file], 2, /--index names the stream itself/u],
    [["--block", "ram", "--length", "0"], 2, /--length takes a whole number from 1/u],
  ];
  for (const [args, code, message] of cases) {
    const run = await qevm(["read", file, ...args]);
    t.equal(run.code, code, args.join(" "));
    t.match(run.stderr, message);
    if (args.includes("--json")) t.match(run.stdout, /"code": "usage"/u, "a document that says so");
    else t.equal(run.stdout, "", "nothing is printed");
  }
  const guess = await qevm(["read", file, "--physical", "0", "--length", "1"]);
  t.match(guess.stderr, /^layout: guess: main memory is the largest block, "ram"/u, "a guess is called a guess");
  writeFileSync(file, corpusEntry("machine-none-tiny").open().subarray(0, 120));
  const cut = await qevm(["read", file, "--block", "ram"]);
  t.equal(cut.code, 1);
  t.match(cut.stderr, /refused at byte 0x78/u);
  const none = new MemorySink();
  await createStreamWriter(none, { machine: "none" }).finish();
  const noRam = await refusal(async () => await scanPages(new MemorySource(none.bytes()), { devices: false }));
  t.equal(noRam?.code, "unsupported", "a stream without RAM");
  t.end();
});

test("memory is bounded by the stream's length, not by the lengths that it states", async (t) => {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "none", pageSize: PAGE });
  const [block] = writer.ram.blocks([{ idstr: "ram", usedLength: 2 ** 50 }]);
  for (let k = 0; k < 100_000; k++) await writer.ram.zero(block!, k * 2 ** 33);
  writer.ram.end();
  await writer.finish();
  const source = new MemorySource(sink.bytes());
  const error = await refusal(async () => await scanPages(source, { devices: false }));
  t.equal(error?.code, "limit");
  t.match(error?.what ?? "", /scattered too far/u);
  t.end();
});

/** A source that counts what is read of it. */
function counting(source: RandomSource): RandomSource & { bytes: number } {
  const counted = {
    length: source.length,
    offset: source.offset,
    within: source.within,
    bytes: 0,
    read: (into: Uint8Array): number => count(source.read(into) as number),
    readAt: (position: number, into: Uint8Array): number => count(source.readAt(position, into) as number),
    seek: (position: number): void => source.seek!(position),
  };
  const count = (n: number): number => {
    counted.bytes += n;
    return n;
  };
  return counted;
}

for (const version of ["10.0", "11.1"]) {
  test(`mapped-ram of QEMU ${version}: every page`, async (t) => {
    const bytes = gunzipSync(readFileSync(join(projectRoot(), "spec", "support", `mapped-ram-${version}.gz`)));
    const out = join(work, `blocks-${version}`);
    const { blocks } = await extractBlocks(new MemorySource(bytes), out);
    const pages = await scanPages(new MemorySource(bytes), { devices: true });
    for (const { block: name, blockLength: length, file } of blocks) {
      const content = await all(pages, blockRange(pages.blocks, name, 0, length));
      t.ok(content.equals(readFileSync(join(out, file))), name);
    }
    t.equal(layoutOf(pages).segments.at(-1)?.block, "pc.bios", "device state is read after the pages");
    t.end();
  });
}

/** A real mapped-ram file whose pc.ram is told as 5 GiB: list and places made anew, the rest as it was. */
async function largeMapped(path: string, size: number): Promise<void> {
  const bytes = gunzipSync(readFileSync(join(projectRoot(), "spec", "support", "mapped-ram-10.0.gz")));
  const at = bytes.indexOf(Buffer.from("\u0003ram\0\0\0\0\0\0\0\u0004", "latin1")) + 12;
  const start = { offset: at, pageSize: PAGE, ignoreShared: false, maxBlocks: 100 };
  const { blocks } = await indexMappedRam(new MemorySource(bytes), start);
  const lengths = blocks.map(({ idstr, usedLength }) => (idstr === "pc.ram" ? size : usedLength));
  const fd = openSync(path, "w");
  const total = Buffer.alloc(8);
  total.writeBigUInt64BE(BigInt(lengths.reduce((sum, length) => sum + length, 0)) | 4n);
  writeSync(fd, Buffer.concat([bytes.subarray(0, at), total]), 0, at + 8, 0);
  let to = at + 8;
  for (const [k, block] of blocks.entries()) {
    const usedLength = lengths[k]!;
    const mapped = mappedHeader(to + 1 + block.idstr.length + 8 + 28, usedLength, PAGE);
    const sink = new MemorySink();
    const writer = new QemuFileWriter(sink);
    encodeBlockEntry(writer, { ...block, usedLength, mapped });
    await writer.finish();
    writeSync(fd, sink.bytes(), 0, sink.bytes().length, to);
    const old = { bitmap: Number(block.mapped!.bitmapOffset), pages: Number(block.mapped!.pagesOffset) };
    writeSync(fd, bytes, old.bitmap, Math.ceil(block.usedLength / PAGE / 8), Number(mapped.bitmapOffset));
    writeSync(fd, bytes, old.pages, block.usedLength, Number(mapped.pagesOffset));
    to = Number(mapped.pagesOffset) + usedLength;
    if (block.idstr !== "pc.ram") continue;
    // The last page but one is there and is known.
    writeSync(fd, Buffer.of(0x40), 0, 1, Number(mapped.bitmapOffset) + size / PAGE / 8 - 1);
    writeSync(fd, Buffer.alloc(PAGE, "the last page but one "), 0, PAGE, to - 2 * PAGE);
  }
  const last = blocks.at(-1)!;
  const rest = Number(last.mapped!.pagesOffset) + last.usedLength;
  writeSync(fd, bytes, rest, bytes.length - rest, to);
  ftruncateSync(fd, to + bytes.length - rest);
  closeSync(fd);
}

test("one page of a mapped-ram file of 5 GiB costs less than 1 MB of reading", async (t) => {
  const path = join(work, "large");
  const size = 5 * 2 ** 30;
  await largeMapped(path, size);
  t.ok(statSync(path).size > size, `${statSync(path).size} bytes`);
  const expected = "the last page but one the last p";
  for (const devices of [false, true]) {
    const input = await openInput(path);
    if (!isRandom(input)) throw new Error("a file can be read anywhere");
    const source = counting(input);
    const pages = await scanPages(source, { devices });
    const parts = devices
      ? physicalRange(layoutOf(pages), size + 2 ** 30 - 2 * PAGE, PAGE)
      : blockRange(pages.blocks, "pc.ram", size - 2 * PAGE, PAGE);
    const content = await all(pages, parts);
    t.equal(content.toString("latin1", 0, 32), expected, devices ? "by its address above 4 GiB" : "by its block");
    t.ok(source.bytes < 1_000_000, `${source.bytes} bytes read`);
    await input.close?.();
  }
  const asked = ["read", path, "--block", "pc.ram", "--offset", String(size - 2 * PAGE), "--length", "32", "--raw"];
  const run = await qevm([...asked, "--index", join(work, "none")]);
  t.equal(run.stdout, expected);
  t.match(run.stderr, /a mapped-ram file needs no index: none is made/u);
  t.end();
});
