import test from "tape";
import { createDeflater } from "../src/engine/index.js";
import { MemorySink, MemorySource } from "../src/bytes/source.js";
import { corpusEntry } from "../tools/corpus.js";
import { compare, destinationLike, startDestination } from "../tools/destination/index.js";
import { compressStream } from "../tools/engine/compress-stream.js";
import { findQemu } from "../tools/qemu/find.js";

/** A capture with plain pages of every pattern. */
const CAPTURE = "pc-fill";

test("a real QEMU loads a plain capture compressed by each mode, with the same memory", async (t) => {
  const entry = corpusEntry(CAPTURE);
  if (findQemu(entry.capture.version) === undefined) return t.skip(`no QEMU ${entry.capture.version} here`);
  for (const kind of ["page", "page-fixed", "page-exact"] as const) {
    const sink = new MemorySink();
    const pages = await compressStream(new MemorySource(entry.open()), sink, await createDeflater(kind));
    t.ok(pages > 100, `${kind}: ${pages} pages compressed`);
    const capabilities = [...entry.capture.capabilities, "compress"];
    const { vm, result } = await startDestination(destinationLike(entry, { stream: sink.bytes(), capabilities }));
    try {
      t.ok(result.loaded, `${kind}: loaded ${result.error}`);
      if (!result.loaded) continue;
      const { equalBlocks, differentBlocks, pmemsaveEqual, registersEqual } = await compare(vm, entry.truth);
      t.ok(equalBlocks.length > 0, `${kind}: equal ${equalBlocks.join(", ")}`);
      t.deepEqual(differentBlocks, [], `${kind}: no block differs`);
      t.notEqual(pmemsaveEqual, false, `${kind}: guest-physical memory`);
      t.notEqual(registersEqual, false, `${kind}: registers`);
    } finally {
      await vm.close();
    }
  }
});
