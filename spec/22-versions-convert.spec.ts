import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { convertStream } from "../src/rewrite/convert/convert.js";
import type { ConvertOptions } from "../src/rewrite/convert/types.js";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import { type CorpusEntry, listCorpus } from "../tools/corpus.js";
import { usualProgram } from "../tools/qemu/find.js";
import { loads, qemuOf } from "./support/loads.js";

/** `npm run test:versions` runs everything, `npm test` one case of each kind. */
const all = process.env["QEVM_VERSIONS"] === "all";

const scratch = mkdtempSync(join(tmpdir(), "qevm-spec-22-"));
test.onFinish(() => rmSync(scratch, { recursive: true, force: true }));

async function convert(entry: CorpusEntry, options: ConvertOptions): Promise<Uint8Array> {
  const sink = new MemorySink();
  await convertStream(new MemorySource(entry.open()), sink, options, scratch);
  return sink.bytes();
}

const loadable = listCorpus().filter(
  ({ truth, capture }) => truth.destination?.loaded === true && capture.command[0] === usualProgram,
);
const has = ({ capture }: CorpusEntry, capability: string): boolean => capture.capabilities.includes(capability);
const encoded = (entry: CorpusEntry): boolean => has(entry, "compress") || has(entry, "xbzrle");

/** Shared memory that is not in the stream is tested in chapter 22's first part. */
const plain = loadable.filter((entry) => !encoded(entry) && !has(entry, "x-ignore-shared"));

const forTest = new Set(["live", "live-seabios", "machine-none", "numa", "v5.2-live", "v5.2-q35-devices"]);

/** Machine types with a version in their name are the same machine in every QEMU; microvm is not. */
const portable = ({ capture }: CorpusEntry): boolean => /-\d+\.\d+$|^none$/u.test(capture.machine);

/** The versions that load compressed pages, from the capture's own on. */
const inflating = (entry: CorpusEntry): string[] =>
  ["5.2", "7.2"].filter(
    (version) =>
      entry.capture.version === version || (portable(entry) && Number(version) > Number(entry.capture.version)),
  );

for (const entry of plain.filter(({ name }) => all || forTest.has(name))) {
  for (const version of inflating(entry)) {
    test(`${entry.name}: compressed by us, loaded by QEMU ${version}`, async (t) => {
      const qemu = qemuOf(t, version);
      if (qemu === undefined) return;
      const capabilities = [...entry.capture.capabilities, "compress"];
      for (const level of [1, 9]) {
        for (const exact of [false, true]) {
          for (const threads of [1, 4]) {
            const stream = await convert(entry, { ram: "zlib", level, engine: exact ? "exact" : undefined, threads });
            const what = `level ${level}, ${exact ? "exact" : "fast"}, ${threads} threads`;
            await loads(t, entry, stream, what, { qemu, capabilities });
          }
        }
      }
    });
  }
}

/** Later versions on the source's machine type. */
const later = ["10.0", "11.1"] as const;

for (const version of later) {
  for (const entry of loadable.filter(
    (item) => encoded(item) && portable(item) && Number(item.capture.version) < Number(version),
  )) {
    test(`${entry.name}: to plain pages, loaded by QEMU ${version} as ${entry.capture.machine}`, async (t) => {
      const qemu = qemuOf(t, version);
      if (qemu === undefined) return;
      const stream = await convert(entry, { ram: "normal" });
      await loads(t, entry, stream, entry.name, { qemu, capabilities: [] });
    });
  }
}

const live = loadable.filter(({ capture }) => capture.steps.some((step) => "wait" in step && step.wait === "rounds"));

for (const entry of live) {
  for (const version of new Set([entry.capture.version, ...later])) {
    if (Number(version) < Number(entry.capture.version)) continue;
    if (version !== entry.capture.version && !portable(entry)) continue;
    test(`${entry.name}: one round, loaded by QEMU ${version}`, async (t) => {
      const qemu = qemuOf(t, version);
      if (qemu === undefined) return;
      const stream = await convert(entry, { flatten: true });
      await loads(t, entry, stream, entry.name, { qemu, capabilities: [] });
      if (Number(version) > 9) return;
      const compressed = await convert(entry, { flatten: true, ram: "zlib" });
      await loads(t, entry, compressed, `${entry.name}, compressed`, { qemu, capabilities: ["compress"] });
    });
  }
}
