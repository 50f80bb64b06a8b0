/** Every capture of the corpus, taken apart and put together. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { packFolder } from "../src/rewrite/pack/pack.js";
import { unpackStream } from "../src/rewrite/pack/unpack.js";
import { listCorpus } from "../tools/corpus.js";

test("every capture, taken apart and put together, is itself", async (t) => {
  for (const { name, open } of listCorpus()) {
    const folder = mkdtempSync(join(tmpdir(), "qevm-"));
    const [stream, dir, out] = ["stream", "dir", "out"].map((one) => join(folder, one)) as [string, string, string];
    const bytes = open();
    writeFileSync(stream, bytes);
    await unpackStream(stream, dir);
    const { edits } = await packFolder(dir, out);
    t.ok(readFileSync(out).equals(bytes), name);
    t.deepEqual(edits, { becamePages: 0, recompressedPayloads: 0, added: 0 });
    rmSync(folder, { recursive: true });
  }
});
