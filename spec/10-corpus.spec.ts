import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { extractBlocks } from "../src/guest/files/extract-blocks.js";
import { IterableSource, MemorySource, type ByteSource } from "../src/bytes/index.js";
import { commandToPlain, StreamReader, type StreamItem } from "../src/codec/stream/index.js";
import { listCorpus } from "../tools/corpus.js";
import { sha256Of } from "../tools/sha256.js";

const corpus = listCorpus();

test("there is a corpus", (t) => {
  t.ok(corpus.length >= 10, `${corpus.length} captures`);
  t.end();
});

for (const entry of corpus) {
  test(`${entry.name}: every byte is decoded`, async (t) => {
    const bytes = entry.open();
    const result = await verifyStream(new MemorySource(bytes));
    t.ok(result.identical, "identical");
    t.equal(result.streamLength, bytes.length, "all bytes");
    t.ok(result.complete, "complete");
    if (result.inspection.vmdescription) {
      t.equal(result.opaqueBytes, 0, "nothing opaque");
    } else {
      const first = result.inspection.undecoded[0];
      t.ok(first !== undefined && first.reason.includes("VMDESCRIPTION"), "the rest is named");
      t.equal(first === undefined ? -1 : first.streamOffset + first.length, bytes.length, "up to the end");
      t.equal(result.opaqueBytes, first?.length, "and counted as opaque");
    }
    t.deepEqual(result.inspection.warnings, [], "no warnings");
    if (entry.capture.capabilities.includes("compress"))
      t.ok(result.recompressed.pageCount > 0, "has compressed pages");
    t.equal(
      result.recompressed.identicalCount,
      result.recompressed.pageCount,
      `${result.recompressed.pageCount} recompressed`,
    );
    const level = entry.capture.parameters["compress-level"];
    if (result.recompressed.pageCount > 0) t.deepEqual(result.recompressed.levels, [level ?? 1], "the capture's level");
    t.equal(
      result.deltas.identicalCount,
      result.deltas.pageCount,
      `${result.deltas.pageCount} XBZRLE pages encoded again`,
    );
    if (entry.capture.machine !== "none" && result.inspection.machine !== null) {
      t.equal(result.inspection.machine, entry.capture.machine, "machine");
    }
  });

  test(`${entry.name}: memory equals the stopped source's`, async (t) => {
    const out = mkdtempSync(join(tmpdir(), "qevm-corpus-"));
    try {
      const { blocks, complete } = await extractBlocks(new MemorySource(entry.open()), out);
      t.ok(complete, "complete, though nobody asked for what is after the memory");
      let compared = 0;
      for (const truth of entry.truth.blocks) {
        const block = blocks.find(({ block: name }) => name === truth.name);
        if (truth.sha256 === undefined) continue;
        t.ok(block !== undefined, `${truth.name} is there`);
        if (block === undefined) continue;
        if (entry.capture.capabilities.includes("x-ignore-shared") && !block.inStream) {
          t.comment(`${truth.name} is shared memory, which x-ignore-shared leaves out of the stream`);
          continue;
        }
        const content = readFileSync(join(out, block.file));
        t.equal(content.length, truth.length, `${truth.name}: length`);
        t.equal(sha256Of(content), truth.sha256, `${truth.name}: SHA-256`);
        compared++;
      }
      t.ok(compared > 0 || entry.truth.blocks.length === 0, `${compared} blocks compared`);
    } finally {
      rmSync(out, { recursive: true, force: true });
    }
  });
}

/** A short text of everything that a walk yields, with page bodies as digests. */
async function events(source: ByteSource, options: { bufferSize?: number; slow?: boolean } = {}): Promise<string> {
  const digest = createHash("sha256");
  const { bufferSize } = options;
  const walk = new StreamReader(source, bufferSize === undefined ? {} : { bufferSize });
  for await (const item of walk) {
    digest.update(await event(item, options.slow === true));
  }
  return digest.digest("hex");
}

async function event(item: StreamItem, slow: boolean): Promise<string> {
  const digest = createHash("sha256").update(`${item.kind} ${item.offset}`);
  if (item.kind === "section") {
    digest.update(`${item.type} ${item.sectionId} ${item.idstr} ${item.instanceId} ${item.content.kind}`);
    if (item.content.kind === "device") digest.update(`${item.content.length}`);
    for await (const batch of item.records()) {
      for (const record of batch) {
        const { encoding, offset, position, continues, block, fill } = record;
        const shown = encoding === "zero" ? fill : 0;
        digest.update(`${encoding} ${block?.idstr} ${offset} ${position} ${continues} ${shown}`).update(record.body);
      }
      if (slow) await new Promise((resolve) => setImmediate(resolve));
    }
  } else if (item.kind === "opaque" || item.kind === "trailing") {
    for await (const chunk of item.chunks()) digest.update(chunk);
  } else if (item.kind === "vmdescription") {
    digest.update(item.text);
  } else if (item.kind === "command") {
    digest.update(JSON.stringify(commandToPlain(item.command)));
  }
  return digest.digest("hex");
}

/** Chunks of random lengths, the same for the same seed (a small linear congruential generator). */
function* splits(bytes: Uint8Array, seed: number): Generator<Uint8Array> {
  let state = seed;
  for (let at = 0; at < bytes.length;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const n = 1 + (state % (state % 7 === 0 ? 100_000 : 300));
    yield bytes.subarray(at, at + n);
    at += n;
  }
}

for (const entry of corpus) {
  test(`${entry.name}: the same events with any chunking`, async (t) => {
    const bytes = entry.open();
    const whole = await events(new MemorySource(bytes));
    t.equal(await events(new MemorySource(bytes, 1), { bufferSize: 64 * 1024 }), whole, "byte by byte");
    t.equal(
      await events(new IterableSource(splits(bytes, bytes.length)), { bufferSize: 5000 }),
      whole,
      "random splits",
    );
    t.equal(await events(new MemorySource(bytes), { bufferSize: 20_000, slow: true }), whole, "slow consumer");
  });
}
