/** Inputs that do not end, indexes from somebody else, and more blocks than a process may open files. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import test from "tape";
import { be, concat, str8 } from "../src/analyse/fuzz/raw-bytes.js";
import { QevmError } from "../src/bytes/errors.js";
import { PageIndex, stampFile, writeIndex } from "../src/guest/read/page-index.js";
import { openStream } from "../src/index.js";
import { PROGRAM } from "./support/program.js";
import { indexParts, indexWith } from "../tools/streams/page-index.js";
import { processorClock } from "./support/processor-time.js";

const folder = mkdtempSync(join(tmpdir(), "qevm-inputs-"));
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));
const at = (name: string): string => join(folder, name);

async function* endless(chunk: Uint8Array, given: { bytes: number }): AsyncGenerator<Uint8Array> {
  for (;;) {
    given.bytes += chunk.length;
    yield await Promise.resolve(chunk);
  }
}

async function opening(chunk: Uint8Array): Promise<{ error: QevmError; bytes: number }> {
  const given = { bytes: 0 };
  try {
    await openStream(endless(chunk, given));
  } catch (error) {
    if (error instanceof QevmError) return { error, bytes: given.bytes };
    throw error;
  }
  throw new Error("opened");
}

test("chunks that do not end, and are no stream", async (t) => {
  const { error, bytes } = await opening(new Uint8Array(4096).fill(0x41));
  t.equal(error.code, "bad-magic", error.message);
  t.match(error.message, /no stream begins in its first 64 MiB/u, "says how far it was searched");
  t.ok(bytes < 80 << 20, `${bytes} bytes were taken`);
  const empty = await opening(new Uint8Array(0));
  t.equal(empty.error.code, "bad-value", empty.error.message);
  t.match(empty.error.message, /chunks in a row are empty/u);
  t.end();
});

/** An index of so many chunks, one page in each of as many blocks. */
function indexOf(chunks: number): PageIndex {
  const blocks = Array.from({ length: chunks }, (_, k) => ({ name: `b${k}`, length: 4096 }));
  const pages = blocks.map(({ name }, k) => ({ block: name, offset: 0, base: 1000 + k, deltas: [], zero: false }));
  const places = { pages: () => yieldAll(pages), has: () => true };
  const stamp = stampFile(at("stream"));
  writeIndex(
    at("index"),
    { stamp, variant: "", pageSize: 4096, machine: null, cpus: [], processTable: null, blocks, layout: null },
    places,
  );
  const opened = PageIndex.open(at("index"), stamp, "");
  if (typeof opened === "string") throw new Error(opened);
  return opened;
}

test("pages are found in an index in the same time, however many blocks it has", (t) => {
  writeFileSync(at("stream"), "x".repeat(10_000));
  const timed = (chunks: number): number => {
    const index = indexOf(chunks);
    const spent = processorClock();
    for (let k = 0; k < 20_000; k++) {
      index.has(`b${k % chunks}`);
      index.find(`b${(chunks - 1 - (k % 16)) % chunks}`, 0);
    }
    const time = spent();
    t.deepEqual(index.find(`b${chunks - 1}`, 0), { plain: 0, records: [1000 + chunks - 1] }, "the right place");
    index.close();
    return time;
  };
  timed(100);
  const [once, eight] = [timed(1000), timed(8000)];
  t.ok(eight < 3 * once + 100, `1000 blocks: ${Math.round(once)} ms, 8000: ${Math.round(eight)} ms`);
  t.end();
});

/** Changes the head of an index and corrects its checksum. */
function forged(change: (head: Record<string, unknown>) => void): string | PageIndex {
  indexOf(4).close();
  const bytes = readFileSync(at("index"));
  const head = JSON.parse(indexParts(bytes).head) as Record<string, unknown>;
  change(head);
  writeFileSync(at("index"), indexWith(bytes, JSON.stringify(head)));
  return PageIndex.open(at("index"), stampFile(at("stream")), "");
}

test("an index with a head that somebody made", (t) => {
  const chunk = { block: "b0", index: 0, at: 0, sha256: "" };
  const cases: [string, (head: Record<string, unknown>) => void][] = [
    ["a chunk of 2 GiB", (head) => (head["chunks"] = [{ ...chunk, length: 2 ** 31 }])],
    ["half an entry", (head) => (head["chunks"] = [{ ...chunk, length: 6 }])],
    ["a block that is none", (head) => (head["blocks"] = [null])],
    ["a block of no length", (head) => (head["blocks"] = [{ name: "b0", length: "much" }])],
    ["a name that is none", (head) => (head["carried"] = [{}])],
    ["a layout of nothing", (head) => (head["layout"] = { segments: [null], how: [] })],
    ["a machine that is none", (head) => (head["machine"] = {})],
  ];
  for (const [what, change] of cases) t.equal(forged(change), "it is damaged", what);
  const wrong = forged((head) => {
    for (const one of head["chunks"] as { sha256: string }[]) one.sha256 = "00";
  });
  if (typeof wrong === "string") t.fail(wrong);
  else t.throws(() => wrong.find("b0", 0), /the index is damaged/u, "a chunk with another checksum");
  t.end();
});

test("more blocks than files may be open", (t) => {
  const blocks = Array.from({ length: 400 }, (_, k) => concat(str8(`b${k}`), be(4096, 8)));
  const section = concat([1], be(2, 4), str8("ram"), be(0, 4), be(4, 4), be((400n * 4096n) | 4n, 8), ...blocks);
  writeFileSync(at("many"), concat(be(0x5145564d00000003n, 8), section, be(0x10n, 8), [0x7e], be(2, 4), [0]));
  const command = `ulimit -n 300; exec "$0" "$1" extract "$2" --format blocks --out "$3"`;
  const run = spawnSync("sh", ["-c", command, process.execPath, PROGRAM, at("many"), at("out")], {
    encoding: "utf8",
  });
  t.equal(run.status, 2, run.stderr);
  t.match(run.stderr, /too many RAM blocks: each needs an open file/u, "says why");
  t.match(run.stderr, /ulimit -n/u, "and what helps");
  t.end();
});

function* yieldAll<T>(values: readonly T[]): Generator<T> {
  yield* values;
}
