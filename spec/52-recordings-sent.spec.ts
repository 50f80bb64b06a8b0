import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type Test } from "tape";
import { compare, startDestination } from "../tools/destination/index.js";
import { listRecordings, recordingNamed, unpackRecording, type Recording } from "../tools/recording/corpus.js";
import { recipes } from "../tools/recording/machines.js";
import { qemuOf } from "./support/loads.js";
import { pskKey, writePsk } from "./support/pki.js";
import { PROGRAM, qevm, type Ended } from "./support/program.js";
import { flatDocument } from "./support/document.js";

/** Unpacks a recording and calls `use` with its folder, and a place beside it. */
async function unpacked(recording: Recording, use: (folder: string, beside: string) => Promise<void>): Promise<void> {
  const beside = mkdtempSync(join(tmpdir(), "qevm-sent-"));
  try {
    unpackRecording(recording, join(beside, "rec"));
    await use(join(beside, "rec"), beside);
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}

/** The channels of `recipe`'s recording are sent to a real QEMU; through TLS with a key. */
async function takenOnceMore(t: Test, recipe: (typeof recipes)[number], keys?: string): Promise<void> {
  const qemu = qemuOf(t, recipe.qemu);
  if (qemu === undefined) return;
  const recording = recordingNamed(recipe.name);
  await unpacked(recording, async (folder) => {
    let sent: Ended | undefined;
    const { args, files, capabilities, parameters } = recipe;
    const psk = keys === undefined ? {} : { "keys.psk": readFileSync(join(keys, "keys.psk")) };
    const creds = keys === undefined ? [] : ["-object", "tls-creds-psk,id=tls0,endpoint=server,dir=$DIR"];
    const { vm, result } = await startDestination({
      qemu,
      args: [...args, ...creds],
      files: { ...files, ...psk },
      capabilities,
      parameters: { ...parameters, ...(keys === undefined ? {} : { "tls-creds": "tls0" }) },
      stream: "unix:$DIR/in.sock",
      onListening: async (destination) => {
        const tls = keys === undefined ? [] : ["--tls", keys];
        sent = await qevm(["send", folder, `unix:${destination.folder}/in.sock`, "--channels", "--json", ...tls]);
      },
    });
    try {
      t.equal(sent?.code, 0, sent?.stderr);
      const all = recording.files.reduce((sum, file) => sum + recording.open(file).length, 0);
      t.equal((flatDocument(sent?.stdout ?? "{}") as { sentBytes: number }).sentBytes, all);
      t.equal(result.status, "completed", result.error);
      const found = await compare(vm, recording.truth);
      t.deepEqual(found.differentBlocks, []);
      t.ok(found.equalBlocks.length > 0, `${found.equalBlocks.length} blocks equal`);
    } finally {
      await vm.close();
    }
  });
}

for (const recipe of recipes) {
  const name = `${recipe.name}: a real ${recipe.qemu} takes its channels once more`;
  test(name, async (t) => await takenOnceMore(t, recipe));
  // One of each version, with at least two channels: the next handshake waits for the first packet of the one before.
  if (!/^recording-(?:7\.2-none|10\.0-zlib|11\.1-zstd)$/u.test(recipe.name)) continue;
  test(`${name}, through TLS`, async (t) => {
    const keys = mkdtempSync(join(tmpdir(), "qevm-psk-"));
    try {
      await takenOnceMore(t, recipe, writePsk(keys, { qemu: pskKey() }));
    } finally {
      rmSync(keys, { recursive: true, force: true });
    }
  });
}

test("sent to qevm receive, a recording is the same again", async (t) => {
  const recording = recordingNamed("recording-7.2-live");
  await unpacked(recording, async (folder, beside) => {
    const uri = `unix:${join(beside, "in.sock")}`;
    const child = spawn(process.execPath, [PROGRAM, "receive", uri, "--out", join(beside, "again/")], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    const closed = once(child, "close");
    await once(child.stderr, "data");
    const sent = await qevm(["send", folder, uri, "--channels", "--max-bandwidth", "10M"]);
    t.equal(sent.code, 0, sent.stderr);
    t.deepEqual((await closed)[0], 0);
    for (const file of recording.files) {
      t.ok(readFileSync(join(beside, "again", file)).equals(recording.open(file)), file);
    }
  });
});

test("what cannot be sent channel by channel", async (t) => {
  await unpacked(recordingNamed("recording-7.2-zstd"), async (folder, beside) => {
    t.equal((await qevm(["send", folder, "exec:cat", "--channels"])).code, 2, "one way only");
    t.equal((await qevm(["send", join(folder, "main.bin"), `unix:${beside}/no`, "--channels"])).code, 2, "a file");
    t.equal((await qevm(["send", folder, `unix:${beside}/no`, "--channels"])).code, 2, "nobody listens");
  });
  const postcopy = listRecordings().find(({ name }) => name.startsWith("postcopy-"))!;
  await unpacked(postcopy, async (folder, beside) => {
    const run = await qevm(["send", folder, `unix:${beside}/no`, "--channels"]);
    t.equal(run.code, 2);
    t.match(run.stderr, /cannot continue without its source/u);
  });
});
