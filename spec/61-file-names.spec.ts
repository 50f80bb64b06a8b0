/** Names of blocks come from the stream, and files are named after them: whatever they hold, nothing lies outside the folder. */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { extractBlocks } from "../src/guest/files/extract-blocks.js";
import { extractPhysical } from "../src/guest/files/extract-physical.js";
import { FileNames, plainName } from "../src/guest/files/file-names.js";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import { createStreamWriter } from "../src/codec/stream/index.js";
import { corpusEntry } from "../tools/corpus.js";
import { refusal } from "./support/bytes.js";
import { qevm } from "./support/program.js";

const PAGE = 4096;
const ALL_BYTES = Array.from({ length: 255 }, (_, k) => String.fromCharCode(k + 1)).join("");
const HOSTILE = [
  "../../x",
  "/etc/passwd",
  "..",
  ".",
  "blocks.json",
  "BLOCKS.JSON",
  "a/../../b",
  "con\u0000trol\n\u001b[31m",
  "C:\\windows\\x",
  "%2E%2E%2Fx",
  "x".repeat(255),
  `${"x".repeat(254)}y`,
  ALL_BYTES,
  "vga.vram",
  "VGA.VRAM",
  "aux ",
  "-rf",
  "~root",
];

/** A page that no other block has. */
function pageOf(k: number): Uint8Array {
  return new Uint8Array(PAGE).map((_, at) => (at * 7 + k + 1) & 0xff);
}

async function hostileStream(): Promise<Uint8Array> {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "pc-i440fx-7.2", pageSize: PAGE });
  const blocks = writer.ram.blocks(HOSTILE.map((idstr) => ({ idstr, usedLength: 2 * PAGE })));
  for (const [k, block] of blocks.entries()) {
    await writer.ram.page(block, 0, pageOf(k));
    await writer.ram.zero(block, PAGE);
  }
  writer.ram.end();
  await writer.finish();
  return sink.bytes();
}

test("names are good on Windows, and can be read back", (t) => {
  const names = [
    ...HOSTILE,
    "con",
    "NUL.ram",
    "com1",
    "lpt9.x",
    "aux",
    "prn.",
    "console",
    "a.",
    "a:b",
    'x<>"|?*y',
    "0000:00:02.0/vga",
  ];
  for (const name of names.filter(({ length }) => length < 60)) {
    const plain = plainName(name);
    t.notOk(/[<>:"/\\|?*]|[ .]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/iu.test(plain), plain);
    const back = plain.replaceAll(/%([0-9A-F]{2})/gu, (_, digits: string) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
    t.equal(back, name);
  }
  t.end();
});

test("a name becomes one plain file name", (t) => {
  const names = new FileNames(["blocks.json"]);
  const claimed = HOSTILE.map((name) => names.claim(name));
  t.equal(new Set(claimed.map((name) => name.toLowerCase())).size, HOSTILE.length, "never the same for two");
  for (const name of claimed) {
    t.ok(/^[A-Za-z0-9%_\-@+:~][A-Za-z0-9._\-@+:%~]*$/u.test(name) && name.length < 240, name);
  }
  t.notOk(claimed.includes("blocks.json"), "reserved");
  const again = new FileNames(["blocks.json"]);
  t.deepEqual(
    HOSTILE.map((name) => again.claim(name)),
    claimed,
    "always the same",
  );
  t.equal(plainName(""), "%");
  t.equal(plainName("pc.ram"), "pc.ram");
  t.equal(plainName("0000:00:02.0/vga.vram"), "0000%3A00%3A02.0%2Fvga.vram");
  t.end();
});

test("blocks with hostile names stay in their folder", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-names-"));
  try {
    const bytes = await hostileStream();
    const out = join(work, "deep", "out");
    const { blocks } = await extractBlocks(new MemorySource(bytes), out);
    t.deepEqual(readdirSync(work), ["deep"], "nothing beside");
    t.deepEqual(readdirSync(join(work, "deep")), ["out"], "nothing above");
    t.equal(readdirSync(out).length, HOSTILE.length + 1);
    t.deepEqual(
      blocks.map(({ block: name }) => name),
      HOSTILE,
    );
    for (const [k, { file }] of blocks.entries()) {
      const content = readFileSync(join(out, file));
      t.ok(content.length === 2 * PAGE && content.subarray(0, PAGE).equals(pageOf(k)), `content of ${file}`);
    }
    const listed = JSON.parse(readFileSync(join(out, "blocks.json"), "utf8")) as { blocks: unknown[] };
    t.deepEqual(listed.blocks, blocks, "blocks.json");
    const path = join(work, "stream");
    writeFileSync(path, bytes);
    const told = await qevm(["extract", path, "--format", "blocks", "--out", join(work, "told")]);
    t.equal(told.code, 0, told.stderr);
    t.ok(/^[\x20-\x7e\n]*$/u.test(told.stdout), "no control character reaches the terminal");
    t.match(told.stdout, /\.\.\/\.\.\/x/u);
    const raw = await extractPhysical(new MemorySource(bytes), join(work, "raw"), {
      format: "raw",
      layout: "../../x@0x1000,/etc/passwd@0x4000:0x1000:0x1000",
    });
    t.equal(raw.fileLength, 0x5000);
    t.ok(readFileSync(join(work, "raw")).subarray(0x1000, 0x2000).equals(pageOf(0)));
    t.deepEqual(readdirSync(work).toSorted(), ["deep", "raw", "stream", "told"]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  t.end();
});

test("a folder in use is not touched", async (t) => {
  const work = mkdtempSync(join(tmpdir(), "qevm-folder-"));
  try {
    const bytes = corpusEntry("machine-none-tiny").open();
    const file = join(work, "file");
    writeFileSync(file, "mine");
    const notFolder = await refusal(async () => await extractBlocks(new MemorySource(bytes), file));
    t.equal(`${notFolder?.code}: ${notFolder?.what}`, `usage: ${file} is not a folder`);
    const full = join(work, "full");
    mkdirSync(full);
    writeFileSync(join(full, "mine"), "mine");
    const notEmpty = await refusal(async () => await extractBlocks(new MemorySource(bytes), full));
    t.equal(`${notEmpty?.code}: ${notEmpty?.what}`, `usage: ${full} is not empty`);
    const empty = join(work, "empty");
    mkdirSync(empty);
    await extractBlocks(new MemorySource(bytes), empty);
    t.ok(existsSync(join(empty, "blocks.json")), "an empty one is taken");
    const sink = new MemorySink();
    const writer = createStreamWriter(sink, { machine: "none" });
    await writer.finish();
    const noRam = await refusal(async () => await extractBlocks(new MemorySource(sink.bytes()), join(work, "none")));
    t.equal(noRam?.code, "unsupported");
    t.deepEqual(readdirSync(work).toSorted(), ["empty", "file", "full"], "nothing else is left");
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  t.end();
});
