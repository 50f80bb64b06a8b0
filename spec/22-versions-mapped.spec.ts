import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { convertStream } from "../src/rewrite/convert/convert.js";
import { inspectStream } from "../src/analyse/inspect/inspect.js";
import { verifyStream } from "../src/analyse/inspect/verify.js";
import { MemorySink, MemorySource } from "../src/bytes/index.js";
import { takeCapture } from "../tools/capture/capture.js";
import { entry as recorded, type Recipe } from "../tools/capture/entry.js";
import { booting, direct, dirtyFirmware, fillDisk } from "../tools/capture/entries/parts.js";
import { type CorpusEntry, listCorpus } from "../tools/corpus.js";
import { loads, qemuOf } from "./support/loads.js";

const scratch = mkdtempSync(join(tmpdir(), "qevm-spec-22m-"));
test.onFinish(() => rmSync(scratch, { recursive: true, force: true }));

async function convert(stream: Uint8Array, to: "stream" | "mapped-ram"): Promise<Uint8Array> {
  const sink = new MemorySink();
  await convertStream(new MemorySource(stream), sink, { to }, scratch);
  return sink.bytes();
}

/** Versions with mapped-ram files. */
const versions = ["10.0", "11.1"] as const;

/** Plain, live, compressed, XBZRLE, several blocks of memory, hardly any memory, from 5.2 and 7.2. */
const chosen =
  "live live-q35 compress-live compress-9-threads-8 xbzrle numa hotplug machine-none q35-common-devices v5.2-live v5.2-xbzrle".split(
    " ",
  );

for (const entry of listCorpus().filter(({ name }) => chosen.includes(name))) {
  for (const version of versions) {
    test(`${entry.name} as a mapped-ram file, loaded by QEMU ${version} from a file`, async (t) => {
      const qemu = qemuOf(t, version);
      if (qemu === undefined) return;
      const file = await convert(entry.open(), "mapped-ram");
      await loads(t, entry, file, entry.name, { qemu, capabilities: ["mapped-ram"], from: "file" });
    });
  }
}

/** Ways in which QEMU writes such a file. */
const ways: readonly (Partial<Recipe> & { readonly name: string })[] = [
  { name: "stopped", args: booting("pc"), files: [fillDisk] },
  { name: "live", rounds: 3 },
  { name: "live on q35 by multifd", args: direct("q35"), rounds: 3, capabilities: ["mapped-ram", "multifd"] },
  { name: "multifd, direct-io", capabilities: ["mapped-ram", "multifd"], parameters: { "direct-io": true } },
];

for (const version of versions) {
  for (const way of ways) {
    test(`QEMU ${version}, ${way.name}: its mapped-ram file as a plain stream, loaded by exec:`, async (t) => {
      const qemu = qemuOf(t, version);
      if (qemu === undefined) return;
      const recipe: Recipe = {
        shows: "mapped-ram",
        args: direct("pc"),
        files: [dirtyFirmware],
        until: "guest",
        uri: "file:$DIR/stream",
        capabilities: ["mapped-ram"],
        ...way,
        qemu: version,
      };
      const { capture, truth, stream } = await takeCapture(recorded(recipe));
      const made: CorpusEntry = { name: way.name, folder: "", capture, truth, open: () => stream };
      const verified = await verifyStream(new MemorySource(stream));
      t.ok(verified.identical && verified.complete, "comes back byte for byte");
      t.equal(verified.opaqueBytes, 0, "nothing opaque");
      const plain = await convert(stream, "stream");
      t.deepEqual((await inspectStream(new MemorySource(plain))).capabilities, [], "a plain stream");
      const files = Object.fromEntries((recipe.files ?? []).map(({ name, content }) => [name, content()]));
      await loads(t, made, plain, "as a plain stream", { capabilities: [], files });
      await loads(t, made, stream, "its own file", { capabilities: ["mapped-ram"], from: "file", files });
      const back = await convert(plain, "mapped-ram");
      await loads(t, made, back, "made a mapped-ram file again", { capabilities: ["mapped-ram"], from: "file", files });
    });
  }
}
