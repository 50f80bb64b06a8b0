/**
 * `node dist/tools/engine/check.js --pages N [--seconds N] [--seed S] [--stream FILE]...`: sends pages of every kind
 * through every mode of the page engine. pako, node:zlib, C zlib (through Python) and the engine's inflater check each
 * payload. The exact mode must match pako and C zlib byte for byte. Every eighth payload is damaged, and the engine
 * must refuse it like pako.
 *
 * Prints one line of figures at the end (and progress to stderr) and exits with 1 on any failure. Failures are written
 * to engine-check-*.bin in the temporary folder.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { createDeflater, createInflater, type InflateBatch, type PageInflater } from "../../src/engine/index.js";
import { load } from "../../src/engine/page-module.js";
import { QevmError } from "../../src/bytes/errors.js";
import { FileSource } from "../../src/io/transport/file.js";
import { capturedPages } from "./capture-payloads.js";
import { damage } from "./damage.js";
import { makePage, PAGE_MAKERS, Random } from "./pages.js";
import { filePages, listFiles } from "./sample.js";

const PAGE = 4096;
const BATCH = 64;
const MODES = ["page", "page-fixed", "page-exact"] as const;

/** C zlib: the three payloads of each page must inflate to it, and the third must be the output of level 1. */
const JUDGE = `
import struct, sys, zlib
data, bad, pages = sys.stdin.buffer, 0, 0
while True:
    page = data.read(4096)
    if len(page) < 4096: break
    lengths = struct.unpack(">3I", data.read(12))
    pages += 1
    for i, length in enumerate(lengths):
        payload = data.read(length)
        try:
            z = zlib.decompressobj()
            if z.decompress(payload) != page or not z.eof or z.unused_data: bad += 1
        except zlib.error:
            bad += 1
        if i == 2 and payload != zlib.compress(page, 1): bad += 1
print(pages, bad, zlib.ZLIB_RUNTIME_VERSION)
`;

/**
 * An endless supply of pages: all makers with seeds, the given pages, and pages of this machine's files, original and
 * edited.
 */
class Pages {
  readonly counts: Record<string, number> = {};
  private readonly random: Random;
  private readonly makers = Object.keys(PAGE_MAKERS);
  private readonly files: string[];
  private waiting: Uint8Array[] = [];
  private turn = 0;

  constructor(
    private seed: number,
    private readonly captured: readonly Uint8Array[],
  ) {
    this.random = new Random(seed);
    this.files = ["/usr/bin", "/usr/lib", "/usr/share"].flatMap((folder) => listFiles(folder, 20_000));
  }

  next(page: Uint8Array): void {
    const kind = this.turn++ % (this.makers.length + 6);
    if (kind < this.makers.length) {
      makePage(this.makers[kind]!, this.seed++, page);
      this.note(this.makers[kind]!);
    } else if (kind < this.makers.length + 3 || this.captured.length === 0) {
      page.set(this.fromFiles());
      if (kind === this.makers.length) this.note("files of this machine");
      else this.edit(page, "files, edited");
    } else {
      page.set(this.captured[this.random.below(this.captured.length)]!);
      if (kind === this.makers.length + 3) this.note("guest memory");
      else this.edit(page, "guest memory, edited");
    }
  }

  private fromFiles(): Uint8Array {
    while (this.waiting.length === 0) {
      this.waiting = filePages(this.files[this.random.below(this.files.length)]!, 64);
    }
    return this.waiting.pop()!;
  }

  /** Changes bytes, moves parts, repeats parts. */
  private edit(page: Uint8Array, name: string): void {
    const { random } = this;
    for (let n = random.below(20); n > 0; n--) page[random.below(PAGE)] = random.next();
    for (let n = random.below(4); n > 0; n--) {
      page.copyWithin(random.below(PAGE), random.below(PAGE), random.below(PAGE));
    }
    if (random.below(8) === 0) page.fill(random.below(256), random.below(PAGE));
    this.note(name);
  }

  private note(name: string): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
  }
}

const { values } = parseArgs({
  options: {
    pages: { type: "string", default: "20000" },
    seconds: { type: "string", default: "Infinity" },
    seed: { type: "string", default: "1" },
    stream: { type: "string", multiple: true, default: [] },
  },
});
const total = Math.ceil(Number(values.pages) / BATCH) * BATCH;
const captured: Uint8Array[] = [];
for (const file of values.stream) {
  for await (const { compressed, body } of capturedPages(FileSource.open(file))) if (!compressed) captured.push(body);
}

const failures: string[] = [];
function fail(what: string, page: Uint8Array, payload: Uint8Array): void {
  failures.push(what);
  if (failures.length > 20) return;
  console.error(`wrong: ${what}`);
  const name = join(tmpdir(), `engine-check-${values.seed}-${failures.length}`);
  writeFileSync(`${name}-page.bin`, page);
  writeFileSync(`${name}-payload.bin`, payload);
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** The error message, or "". */
function refusal(inflater: PageInflater, payload: Uint8Array, into: Uint8Array): string {
  try {
    inflater.inflate(payload, into);
    return "";
  } catch (error) {
    if (error instanceof QevmError) return error.message;
    throw error;
  }
}

const modules = [await load(true), await load(false)];
const pako = await createInflater("exact");
const node = await createInflater("fast");
const own = await Promise.all(modules.map((module) => createInflater("page", { module })));
const back = own.map((inflater) => inflater.batch(BATCH));
const pakoExact = await createDeflater("exact");
const modes = await Promise.all(
  MODES.map(async (mode) => ({
    mode,
    batches: await Promise.all(modules.map(async (module) => (await createDeflater(mode, { module })).batch(BATCH))),
  })),
);
const judge = spawn("python3", ["-c", JUDGE], { stdio: ["pipe", "pipe", "inherit"] });
const source = new Pages(Number(values.seed) * 100_000_007, captured);
const random = new Random(Number(values.seed));
const pages = Array.from({ length: BATCH }, () => new Uint8Array(PAGE));
const into = new Uint8Array(PAGE);
const other = new Uint8Array(PAGE);
const figures = { pages: 0, zero: 0, damaged: 0, refused: 0, unseen: 0 };
const bytes: Record<string, number> = { page: 0, "page-fixed": 0, "page-exact": 0 };
const start = Date.now();
const until = start + Number(values.seconds) * 1000;

while (figures.pages < total && Date.now() < until && failures.length < 100) {
  for (const page of pages) source.next(page);
  const payloads = pages.map(() => [] as Uint8Array[]);
  // Both builds must write the same bytes: every fourth round checks it, the other rounds alternate.
  const round = figures.pages / BATCH;
  const both = round % 4 === 0;
  for (const { mode, batches } of modes) {
    const chosen = both ? batches : [batches[round % 2]!];
    const results = chosen.map((batch) => {
      pages.forEach((page, i) => batch.pages.set(page, i * PAGE));
      batch.run(BATCH);
      return batch;
    });
    const [first, second] = results;
    pages.forEach((page, i) => {
      // A batch leaves zero pages out; the deflater does not see them.
      if (first!.zero[i] === 1) return;
      const payload = first!.output.slice(first!.starts[i], first!.starts[i]! + first!.lengths[i]!);
      const twin = second?.output.subarray(second.starts[i], second.starts[i]! + second.lengths[i]!);
      if (twin !== undefined && !same(payload, twin)) fail(`${mode}: with and without SIMD differ`, page, payload);
      payloads[i]!.push(payload);
      bytes[mode]! += payload.length;
    });
  }
  const chunks: Uint8Array[] = [];
  pages.forEach((page, i) => {
    const made = payloads[i]!;
    figures.pages++;
    if (made.length === 0) {
      figures.zero++;
      return;
    }
    for (const [k, payload] of made.entries()) {
      for (const judging of [pako, node]) {
        const said = refusal(judging, payload, into);
        if (said !== "" || !same(into, page)) fail(`${MODES[k]}: ${judging.kind} ${said}`, page, payload);
      }
    }
    if (!same(pakoExact.deflate(page), made[2]!)) fail("page-exact: not pako's bytes", page, made[2]!);
    const lengths = Buffer.alloc(12);
    made.forEach((payload, k) => lengths.writeUInt32BE(payload.length, 4 * k));
    chunks.push(page, lengths, ...made);
    if (random.below(8) === 0) harm(page, made[random.below(3)]!);
  });
  for (let k = 0; k < MODES.length; k++) {
    for (const batch of both ? back : [back[round % 2]!]) inflateAll(batch, payloads, k);
  }
  if (!judge.stdin.write(Buffer.concat(chunks))) await once(judge.stdin, "drain");
  if (figures.pages % (BATCH * 1024) === 0) {
    const rate = figures.pages / ((Date.now() - start) / 1000);
    console.error(`${figures.pages} pages, ${failures.length} wrong, ${rate.toFixed(0)} pages/s`);
  }
}

/** Inflates all payloads of one mode with one instance of the engine's inflater. */
function inflateAll(batch: InflateBatch, payloads: readonly Uint8Array[][], mode: number): void {
  let at = 0;
  const which: number[] = [];
  payloads.forEach((made, i) => {
    const payload = made[mode];
    if (payload === undefined) return;
    batch.input.set(payload, at);
    batch.starts[which.length] = at;
    batch.lengths[which.length] = payload.length;
    at += payload.length;
    which.push(i);
  });
  batch.run(which.length);
  which.forEach((i, k) => {
    const page = batch.pages.subarray(k * PAGE, (k + 1) * PAGE);
    if (batch.failure(k) === undefined && same(page, pages[i]!)) return;
    fail(`${MODES[mode]}: own inflater`, pages[i]!, payloads[i]![mode]!);
  });
}

/** The engine's inflaters and pako must give the same error for a damaged payload, and write the same bytes. */
function harm(page: Uint8Array, payload: Uint8Array): void {
  const damaged = damage(payload, random);
  const said = refusal(pako, damaged, into);
  figures.damaged++;
  if (said !== "") figures.refused++;
  else if (!same(into, page)) figures.unseen++;
  const inflater = own[figures.damaged % 2]!;
  const agrees = refusal(inflater, damaged, other) === said && inflater.produced === pako.produced;
  const written = pako.produced;
  if (!agrees || !same(into.subarray(0, written), other.subarray(0, written))) {
    fail("damage: not what pako says", page, damaged);
  }
}

judge.stdin.end();
let verdict = "";
judge.stdout.setEncoding("utf8");
for await (const text of judge.stdout) verdict += String(text);
const [judged = 0, wrong = -1, version = ""] = verdict
  .trim()
  .split(" ")
  .map((word, i) => (i < 2 ? Number(word) : word));
const good = failures.length === 0 && wrong === 0 && judged === figures.pages - figures.zero;
console.log(
  JSON.stringify({
    good,
    seed: Number(values.seed),
    ...figures,
    failures: failures.length,
    cZlib: { version, pages: judged, wrong },
    bytes,
    seconds: Math.round((Date.now() - start) / 1000),
    kinds: source.counts,
  }),
);
process.exitCode = good ? 0 : 1;
