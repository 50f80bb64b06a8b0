import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { explainStream } from "../src/analyse/explain/index.js";
import { openRecording } from "../src/io/container/recording.js";
import { inspectRecording } from "../src/analyse/inspect/recording.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { qevm } from "./support/program.js";

/** A recording of the corpus whose first multifd channel was changed. */
async function withChanged(
  name: string,
  change: (channel: Buffer) => Buffer,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-channels-"));
  const { open } = recordingNamed(name);
  try {
    for (const file of ["main.bin", "multifd-0.bin", "multifd-1.bin"]) {
      writeFileSync(join(folder, file), file === "multifd-0.bin" ? change(Buffer.from(open(file))) : open(file));
    }
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Offset of the second packet, the first one with pages: packets have 320 bytes and 128 offsets. */
const PACKET = 64 + 1344;
const PAYLOAD = PACKET + 1344;

const DAMAGES: [what: string, offset: number, change: (channel: Buffer) => Buffer][] = [
  ["a payload", PAYLOAD, (channel) => (channel.fill(0xa5, PAYLOAD + 2000, PAYLOAD + 2100), channel)],
  ["a header", PACKET, (channel) => (channel.fill(0xff, PACKET, PACKET + 4), channel)],
  ["an end in a payload", PAYLOAD, (channel) => channel.subarray(0, PAYLOAD + 100)],
  ["an end in a header", PACKET, (channel) => channel.subarray(0, PACKET + 100)],
];

for (const [what, offset, change] of DAMAGES) {
  for (const method of ["zlib", "zstd"]) {
    test(`${what} of a ${method} channel is damaged: the rest is read, and what a destination does is said`, async (t) => {
      await withChanged(`recording-7.2-${method}`, change, async (folder) => {
        const { machine, faults, inspection, versions } = await explainStream(folder);
        t.deepEqual([machine, versions.loads], ["none", "none"], "the main channel was read");
        t.ok(inspection.ram.pages.normal > 0, "and the other channel");
        const [first, ...more] = faults;
        t.deepEqual([first?.error.offset, first?.error.path[0]], [offset, "multifd-0.bin"], first?.error.message);
        t.match(first?.means.join() ?? "", /hangs and says nothing.*only SIGKILL does.*migrate_cancel/u);
        t.ok(
          more.every(({ means, remedies }) => means.length + remedies.length === 0),
          "once",
        );
        if (what !== "a payload" || method === "zstd") return;
        const read = await inspectRecording(openRecording(folder), { lenient: true });
        t.ok(read.warnings.length > 0 && read.ram.pages.multifd > 0, "inspect --lenient");
        const out = join(folder, "out.mig");
        t.equal((await qevm(["convert", folder, "--out", out, "--lenient"])).code, 1, "convert --lenient");
        t.equal((await qevm(["convert", folder, "--out", `${out}-strict`])).code, 1, "strict");
        t.equal((await qevm(["explain", folder])).code, 1);
      });
    });
  }
}
