import { join } from "node:path";
import test from "tape";
import { type CorpusEntry, listCorpus, projectRoot } from "../tools/corpus.js";
import { destinationLike, readStatus, startDestination } from "../tools/destination/index.js";
import { MemorySource } from "../src/bytes/index.js";
import { StreamReader } from "../src/codec/stream/index.js";
import { type JsonObject, textOf } from "../src/io/transport/qmp.js";
import { wordsOf } from "../tools/versions/feature.js";
import { features } from "../tools/versions/features.js";
import { capabilitiesOf, proveCell, tableIn } from "../tools/versions/matrix.js";
import { reencode } from "../tools/versions/reencode.js";
import { folderName, suites } from "../tools/versions/suites.js";
import { loads, qemuOf } from "./support/loads.js";

const entries = listCorpus().filter(({ truth }) => truth.destination !== null);

/** Memory that `x-ignore-shared` keeps out of a stream comes from a file and is not tested here. */
function ofStream(entry: CorpusEntry): CorpusEntry {
  if (!entry.capture.capabilities.includes("x-ignore-shared")) return entry;
  const blocks = entry.truth.blocks.filter(({ name }) => !/^(?:\/objects\/)?(?:main|dimm-shared)$/u.test(name));
  return { ...entry, truth: { ...entry.truth, blocks, pmemsave: [] } };
}

test("each suite has its own folder", (t) => {
  t.deepEqual(suites.map(folderName), ["bullseye", "bookworm", "trixie", "trixie-backports"]);
  t.end();
});

const page = join(projectRoot(), "spec", "22-versions.md");

test("the matrix has a row for every feature and a text in every cell", (t) => {
  const [head = "", , ...rows] = tableIn(page).split("\n");
  t.equal(head, `| feature | ${suites.map(({ version }) => `QEMU ${version}`).join(" | ")} |`);
  t.deepEqual(
    rows.map((row) => row.split(" | ")[0]?.slice(2)),
    features.map(({ name }) => name),
  );
  for (const row of rows) {
    const cells = row.replace(/ \|$/u, "").split(" | ").slice(1);
    const explained = cells.filter((cell) =>
      /^(?:identical, equal, loads|not in this version: .+|no: .+)$/u.test(cell),
    );
    t.equal(explained.length, suites.length, row);
  }
  t.end();
});

test("two rows of the matrix, with the installed QEMU", async (t) => {
  const qemu = qemuOf(t, "7.2");
  if (qemu === undefined) return;
  const known = await capabilitiesOf(qemu);
  for (const feature of features.filter(({ name }) => /^(?:xbzrle|x-ignore-shared)$/u.test(name))) {
    t.equal(wordsOf(await proveCell(feature, qemu, known)), "identical, equal, loads", feature.name);
  }
  const mapped = features.find(({ name }) => name === "mapped-ram");
  const cell = mapped === undefined ? "" : await proveCell(mapped, qemu, known);
  t.equal(cell, "not in this version: no capability mapped-ram");
});

/** Number of pages that occur twice in the same section. */
async function twiceInSection(stream: Uint8Array): Promise<number> {
  let twice = 0;
  for await (const item of new StreamReader(new MemorySource(stream))) {
    if (item.kind !== "section") continue;
    const seen = new Set<string>();
    for await (const batch of item.records()) {
      for (const { block, offset } of batch) {
        if (block === undefined) continue;
        const key = `${block.idstr} ${offset}`;
        if (seen.has(key)) twice++;
        seen.add(key);
      }
    }
  }
  return twice;
}

test("a page occurs twice in one section only with late compress threads", async (t) => {
  for (const { name, capture, open } of entries) {
    const twice = await twiceInSection(open());
    if (name === "compress-live") t.ok(twice > 0, `${name}: ${twice} pages`);
    if (!capture.capabilities.includes("compress")) t.equal(twice, 0, name);
  }
});

for (const entry of entries) {
  const { version, command } = entry.capture;
  test(`${entry.name}: re-encoded from its fields, loaded by QEMU ${version}`, async (t) => {
    const stream = entry.open();
    const { bytes, opaque } = await reencode(stream);
    t.equal(bytes.length, stream.length, `${opaque} bytes were passed on without being understood`);
    if (qemuOf(t, version, command[0]) === undefined) return;
    if (entry.truth.destination?.loaded !== true) {
      // QEMU 7.2 cannot load what it saves of ISA VGA: its own stream ends in the same assertion.
      const { vm, result } = await startDestination(destinationLike(entry, { stream: bytes }));
      await vm.close();
      t.deepEqual([result.status, result.signal], ["exited", "SIGABRT"], "as QEMU's own stream");
      return;
    }
    await loads(t, ofStream(entry), bytes, entry.name);
    // Machine types before 2.4 send no run state: the guest starts.
    const told = stream.includes("\x0bglobalstate", 0, "latin1");
    const source = told ? textOf((entry.truth.statusBefore as JsonObject)["status"]) : "running";
    const { vm, result } = await startDestination({ ...destinationLike(entry, { stream: bytes }), autostart: true });
    try {
      t.equal(result.status, "completed", `without -S ${result.error}`);
      t.equal(await readStatus(vm), source, `without -S it is ${source}${told ? ", as the source was" : ""}`);
    } finally {
      await vm.close();
    }
  });
}
