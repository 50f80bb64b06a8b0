import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import test from "tape";
import { entries } from "../tools/capture/entries/index.js";
import { type CorpusEntry, listCorpus, projectRoot } from "../tools/corpus.js";
import { firmwareAround } from "../tools/guest/listing.js";
import { fillGuest } from "../tools/guest/patterns.js";
import { sha256Of } from "../tools/sha256.js";

const corpus = listCorpus();

test("the corpus matches the list of entries, and is complete and small", (t) => {
  const names = corpus.map(({ name }) => name);
  t.deepEqual(
    names,
    entries.map(({ name }) => name).toSorted(),
    "every entry has been captured, nothing else is there",
  );
  const versions = new Set(corpus.map(({ capture }) => capture.version));
  t.deepEqual([...versions].toSorted(), ["10.0", "11.1", "5.2", "7.2"], "versions of QEMU");
  const readme = readFileSync(join(projectRoot(), "corpus", "README.md"), "utf8");
  const missing = names.filter((name) => !readme.includes(`| \`${name}\` |`));
  t.deepEqual(missing, [], "every entry is in the table of corpus/README.md");
  const files = corpus.flatMap(({ folder }) => readdirSync(folder).map((file) => join(folder, file)));
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  t.ok(bytes < 25_000_000, `${bytes} bytes, under 25 MB`);
  t.equal(files.length, 3 * corpus.length, "three files an entry");
  t.end();
});

test("every stream matches its capture.json", (t) => {
  for (const { name, capture, open } of corpus) {
    const bytes = open();
    const whole = bytes.length === capture.stream.length && sha256Of(bytes) === capture.stream.sha256;
    t.ok(whole && bytes.toString("latin1", 0, 4) === "QEVM", `${name}: ${bytes.length} bytes`);
  }
  t.end();
});

test("recorded files contain no path of the machine that made them", (t) => {
  const leaks = corpus.flatMap(({ name, folder }) =>
    ["capture.json", "truth.json"].filter((file) =>
      /["'= ]\/(?:tmp|home|root|work|usr|var|mnt)\b/u.test(readFileSync(join(folder, file), "utf8")) ? name : undefined,
    ),
  );
  t.deepEqual(leaks, []);
  t.end();
});

/** A number somewhere in query-migrate. */
function counted({ truth }: CorpusEntry, ...path: readonly string[]): number {
  let value: unknown = truth.queryMigrate;
  for (const key of path) value = (value as Record<string, unknown> | null | undefined)?.[key];
  return Number(value ?? 0);
}

const having = (capability: string): CorpusEntry[] =>
  corpus.filter(({ capture }) => capture.capabilities.includes(capability));

test("each entry contains what it is meant to show, by QEMU's own count", (t) => {
  for (const item of having("xbzrle")) t.ok(counted(item, "xbzrle-cache", "pages") > 100, `${item.name}: XBZRLE pages`);
  for (const item of having("compress"))
    t.ok(counted(item, "compression", "pages") > 10, `${item.name}: compressed pages`);
  t.ok(having("xbzrle").length > 4 && having("compress").length > 10, "there are such entries");
  for (const item of corpus) {
    const rounds = item.capture.steps.flatMap((step) => ("wait" in step && step.wait === "rounds" ? [step.count] : []));
    for (const count of rounds)
      t.ok(counted(item, "ram", "dirty-sync-count") > count, `${item.name}: over ${count} rounds`);
  }
  for (const item of having("x-ignore-shared")) {
    const held = item.truth.blocks.reduce((sum, { length }) => sum + length, 0);
    t.ok(item.capture.stream.length < held, `${item.name}: shared memory stayed out`);
  }
  t.end();
});

test("a real destination loaded every stream with the source's memory", (t) => {
  for (const { name, truth } of corpus) {
    const load = truth.destination;
    if (name === "isapc-firmware") {
      t.equal(load?.signal, "SIGABRT", `${name}: QEMU 7.2 asserts`);
      continue;
    }
    const known = truth.blocks.filter(({ sha256: hash }) => hash !== null).map((block) => block.name);
    t.equal(known.length, truth.blocks.length, `${name}: truth of ${known.length} blocks`);
    t.deepEqual(load?.equalBlocks, known, `${name}: all equal in the destination`);
    t.deepEqual(
      [load?.loaded, load?.pmemsaveEqual !== false, load?.registersEqual !== false],
      [true, true, true],
      name,
    );
  }
  t.end();
});

/** Main memory from 1 MiB to 8 MiB after the fill guest, from the rules in the table of tools/guest/patterns.ts. */
function filledMemory(): Buffer {
  const memory = Buffer.alloc(7 << 20);
  const base = 1 << 20;
  const words = ["the ", "quic", "k br", "own ", "fox ", "jump", "s ag", "ain "];
  const fill = (start: number, end: number): void => {
    for (let page = start; page < end; page += 4096) {
      const kind = (page >> 12) & 15;
      let random = page + 1;
      for (let left = 1024; left > 0; left--) {
        const at = page - base + (1024 - left) * 4;
        if (kind === 15) {
          random = (Math.imul(random, 1_664_525) + 1_013_904_223) >>> 0;
          memory.writeUInt32LE(random, at);
        } else if (kind >= 10) {
          memory.write(words[(left ^ (left >> 8)) & 7] ?? "", at, "latin1");
        } else if (kind >= 4) {
          memory.writeUInt32LE(page, at);
        }
      }
    }
  };
  fill(0x10_0000, 0x20_0000);
  fill(0x60_0000, 0x62_0000);
  return memory;
}

test("memory of the fill firmware follows its rules", (t) => {
  const regions = [
    { start: 0x10_0000, end: 0x20_0000 },
    { start: 0x60_0000, end: 0x62_0000 },
  ];
  const firmware = sha256Of(firmwareAround(fillGuest(regions)));
  const expected = sha256Of(filledMemory());
  const filled = corpus.filter(
    ({ capture }) => !capture.command.includes("-S") && capture.files.some((file) => file.sha256 === firmware),
  );
  t.ok(filled.length > 15, `${filled.length} entries`);
  for (const { name, truth } of filled) {
    const range = truth.pmemsave.find(({ start, length }) => start === 0x10_0000 && length === 7 << 20);
    t.equal(range?.sha256, expected, name);
  }
  t.end();
});
