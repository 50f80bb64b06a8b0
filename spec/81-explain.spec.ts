import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as fc from "fast-check";
import test from "tape";
import { explainLines as report } from "../src/analyse/text/explain.js";
import { KNOWN_TEXTS } from "../src/analyse/explain/texts.js";
import { explainStream, MemorySource, type Explanation } from "../src/index.js";
import { corpusEntry, listCorpus, projectRoot } from "../tools/corpus.js";
import { breakages } from "../tools/destination/index.js";
import { readRefusals } from "../tools/destination/refusals.js";
import { brokenCause } from "./support/broken-causes.js";
import { qevm } from "./support/program.js";
import { flatDocument } from "./support/document.js";

/** One example of every known text, most of them as QEMU 7.2 said them. */
const EXAMPLES = JSON.parse(readFileSync(join(projectRoot(), "spec", "81-explain.texts.json"), "utf8")) as Record<
  string,
  string
>;

const folder = mkdtempSync(join(tmpdir(), "qevm-explain-"));
test.onFinish(() => rmSync(folder, { recursive: true, force: true }));

const explain = async (stream: Uint8Array, text?: string): Promise<Explanation> =>
  await explainStream(new MemorySource(stream), text);

/** Bytes between the first byte that was changed and the address that is named: a record or section header at most. */
const NEAR = 64;

test("what four versions say of every broken stream: cause, and an address near the change", async (t) => {
  const words = readRefusals();
  for (const { name, apply } of breakages) {
    for (const [version, lines] of Object.entries(words[name] ?? {})) {
      if (lines.length === 0) continue;
      const whole = corpusEntry(Number(version) >= 9 ? "v10.0-none" : "machine-none-tiny").open();
      const broken = apply(whole);
      const change = broken.findIndex((byte, i) => byte !== whole[i]);
      const explained = await explain(broken, lines.join("\n"));
      const [first] = explained.findings;
      t.equal(first?.cause, brokenCause(name, version), `${name}, ${version}: ${lines[0]}`);
      t.deepEqual(explained.unknown, [], `${name}, ${version}: every line is known`);
      const offset = first?.about.streamOffset ?? -1;
      const at = change < 0 ? broken.length : change;
      t.ok(Math.abs(offset - at) <= NEAR, `${name}, ${version}: byte ${offset}, changed at ${at}`);
    }
  }
});

test("the table's versions are those that said it", (t) => {
  const said = Object.values(readRefusals()).flatMap((row) => Object.entries(row));
  for (const { cause, heard, pattern } of KNOWN_TEXTS) {
    const versions = new Set(said.flatMap(([version, lines]) => (pattern.test(lines.join("\n")) ? [version] : [])));
    for (const version of versions) t.ok(heard.includes(version), `${cause}: ${version} says it`);
  }
  t.end();
});

test("every known text has an example, which it alone is found in", async (t) => {
  t.deepEqual(Object.keys(EXAMPLES).toSorted(), KNOWN_TEXTS.map(({ cause }) => cause).toSorted());
  t.ok(KNOWN_TEXTS.length >= 50, `${KNOWN_TEXTS.length} texts`);
  const stream = corpusEntry("machine-none-tiny").open();
  for (const [cause, text] of Object.entries(EXAMPLES)) {
    const { findings } = await explain(stream, `qemu-system-x86_64: ${text}`);
    t.deepEqual(
      findings.map((finding) => finding.cause),
      [cause],
      text,
    );
  }
});

test("no text and no damage makes it throw or point outside the file", async (t) => {
  const streams = ["machine-none-tiny", "pc-never-run", "compress-1-threads-8"].map((name) => corpusEntry(name).open());
  const texts = Object.values(EXAMPLES);
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...streams),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.integer({ min: 0, max: 255 })), {
        maxLength: 3,
      }),
      fc.shuffledSubarray(texts, { minLength: 1, maxLength: 6 }),
      async (stream, keep, changes, lines) => {
        const bytes = Buffer.from(stream.subarray(0, Math.ceil(stream.length * keep)));
        for (const [at, value] of changes) if (bytes.length > 0) bytes[Math.floor(at * (bytes.length - 1))] = value;
        const explained = await explain(bytes, lines.join("\n"));
        for (const { about } of explained.findings) {
          if (
            about.streamOffset !== undefined &&
            (about.streamOffset < 0 || about.streamOffset > Math.max(bytes.length, 8))
          )
            return false;
        }
        return report("FILE", explained, []).every((line) => line.length <= 80 || !line.trim().includes(" "));
      },
    ),
    { numRuns: 60, seed: 81 },
  );
  t.pass("60 damaged streams with up to 6 texts each");
});

/** First and last release that may load a capture. */
const range = async (name: string): Promise<(string | null)[]> => {
  const { versions } = await explain(corpusEntry(name).open());
  return [versions.firstRelease, versions.lastRelease];
};

/** The arguments of the destination, as a shell reads the lines of the report. */
function pasted(lines: readonly string[]): string[] {
  const begin = lines.findIndex((line) => line.startsWith("The destination")) + 1;
  if (begin === 0) return [];
  const end = lines.findIndex((line, i) => i >= begin && !line.endsWith("\\")) + 1;
  const { stdout } = spawnSync("sh", ["-c", `printf '%s\\0' ${lines.slice(begin, end).join("\n")}`], {
    encoding: "utf8",
  });
  return stdout.split("\0").slice(0, -1);
}

test("the general report fits what is known of each capture", async (t) => {
  for (const entry of listCorpus()) {
    const { capture } = entry;
    if (!capture.command[0]!.includes("x86_64") || capture.stream === undefined) continue;
    const explained = await explain(entry.open());
    const { destination, versions, faults: damage, machine } = explained;
    const told = report("FILE", explained, []);
    t.deepEqual(
      told.filter((line) => line.length > 80),
      [],
      `${entry.name}: 80 columns`,
    );
    t.deepEqual(pasted(told), destination.arguments, `${entry.name}: a shell takes the arguments as they are printed`);
    t.deepEqual(damage, [], `${entry.name}: nothing is wrong in it`);
    const needed = capture.capabilities.filter(
      (name) => name !== "xbzrle" && name !== "zero-blocks" && name !== "events",
    );
    t.deepEqual(destination.capabilities.toSorted(), needed.toSorted(), `${entry.name}: capabilities`);
    if (machine !== null) t.equal(machine, capture.machine, `${entry.name}: machine type`);
    const { firstRelease: from, lastRelease: to } = versions;
    const version = Number(capture.version);
    t.ok(
      (from === null || Number(from) <= version) && (to === null || Number(to) >= version),
      `${entry.name}: ${from} to ${to} holds ${version}`,
    );
  }
  t.deepEqual(await range("compress-live"), ["7.2", "9.0"], "compressed pages: up to 9.0");
  t.deepEqual(await range("v10.0-live"), ["10.0", null], "SWITCHOVER_START: from 10.0");
  t.deepEqual(
    await range("v5.2-block"),
    ["2.4", "9.0"].with(0, (await range("v5.2-block"))[0]!),
    "block migration: up to 9.0",
  );
  t.deepEqual(await range("pc-2.4"), ["2.4", "10.0"], "machine types up to 4.1: not in 10.1 and later");
  t.deepEqual(await range("v5.2-live"), ["5.2", null], "5.2's machine type: still in 11.1");
});

test("the command: text, JSON, exit status, pipes, containers, recordings", async (t) => {
  const stream = corpusEntry("pc-firmware").open();
  const file = join(folder, "vm.mig");
  writeFileSync(file, stream);
  const text =
    'qemu-system-x86_64: Unknown ramblock "0000:00:02.0/vga.vram", cannot accept migration\nload of migration failed: Invalid argument\nsomething about e1000 that nobody knows';
  const told = await qevm(["explain", file, text]);
  t.equal(told.code, 0, told.stderr);
  t.match(told.stdout, /block list at byte 0x33/u);
  t.match(told.stdout, /-device VGA,addr=0x2,vgamem_mb=16/u);
  t.match(told.stdout, /Unrecognized messages:\n {2}something about e1000/u);
  t.match(told.stdout, /device "0000:00:03\.0\/e1000" instance 0/u, "what an unknown line names");
  t.ok(told.stdout.indexOf("QEMU says") < told.stdout.indexOf("The destination"), "the text first");
  t.deepEqual(
    told.stdout.split("\n").filter((line) => line.length > 80),
    [],
    "80 columns",
  );
  const json = flatDocument((await qevm(["explain", file, text, "--json"])).stdout) as Explanation & { file: string };
  t.deepEqual(
    [json.file, json.findings[0]?.cause, json.unknown.length, json.faults.length],
    [file, "unknown-block", 1, 0],
  );
  const piped = await qevm(["explain", "-", text], { stdin: stream });
  t.equal(piped.code, 0);
  t.match(piped.stdout, /^standard input: [^]*block list at byte 0x33/u, "from a pipe");
  writeFileSync(join(folder, "vm.gz"), gzipSync(stream));
  const packed = await qevm(["explain", join(folder, "vm.gz"), "Not a migration stream"]);
  t.equal(packed.code, 0);
  t.match(packed.stdout, /inside gzip/u);
  t.match(packed.stdout, /qevm convert \S+vm\.gz --out NEW/u);
  const cut = await qevm(["explain", "-"], { stdin: stream.subarray(0, 200_000) });
  t.equal(cut.code, 1, "a damaged file");
  t.match(cut.stdout, /The file is damaged: at byte 0x30d40/u);
  const empty = await qevm(["explain", "-"], { stdin: new Uint8Array(0) });
  t.match(empty.stdout, /the file is empty/u);
  t.notOk(empty.stdout.includes("qevm inspect"), "what cannot be read is not proposed");
  const head = await qevm(["explain", "-"], { stdin: stream.subarray(0, 5) });
  t.match(head.stdout, /ends within the header/u);
  const early = await qevm(["explain", "-"], { stdin: stream.subarray(0, 20) });
  t.deepEqual([early.stdout.includes("qevm inspect"), early.stdout.includes("qevm extract")], [true, false]);
  const none = await qevm(["explain", "-", "Not a migration stream"], {
    stdin: Buffer.from("hello, this is no stream at all"),
  });
  t.equal(none.code, 1, "no stream");
  t.match(none.stdout, /at byte 0x0: not a QEMU migration stream/u);
  const recording = await qevm([
    "explain",
    join(projectRoot(), "corpus", "recording-7.2-none"),
    "multifd is not supported by current protocol",
  ]);
  t.equal(recording.code, 0, recording.stderr);
  t.match(recording.stdout, /qevm send \S+recording-7\.2-none URI --channels/u);
  t.match(recording.stdout, /multifd\s+and\s+as\s+many\s+channels,\s+or\s+postcopy/u);
  t.equal((await qevm(["explain"])).code, 2, "no file");
  t.equal((await qevm(["explain", file, "a", "b"])).code, 2, "two texts");
  t.equal((await qevm(["explain", file, "--lenient"])).code, 2, "--lenient");
  t.equal((await qevm(["explain", join(folder, "nosuch")])).code, 2, "a file that is not there");
});
