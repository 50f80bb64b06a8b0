import { spawn, type ChildProcess } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { corpusEntry } from "../tools/corpus.js";
import { compare, startDestination } from "../tools/destination/index.js";
import { dirtyFirmware, direct } from "../tools/capture/entries/parts.js";
import { takeTruth, type Truth } from "../tools/capture/truth.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { still, type Recipe } from "../tools/recording/machines.js";
import { migrateTo, startSource } from "../tools/recording/record.js";
import { qemuOf } from "./support/loads.js";
import { PROGRAM, qevm, type Ended } from "./support/program.js";

/** A running `qevm receive`, its folder, and where it listens. */
interface Receiving {
  readonly folder: string;
  readonly uri: string;
  readonly child: ChildProcess;
  readonly ended: () => Promise<Ended>;
}

async function receiving(
  args: readonly string[],
  use: (receiving: Receiving) => Promise<void>,
  uri = "tcp:127.0.0.1:0",
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-receive-"));
  const full = ["receive", uri.replace("$DIR", folder), ...args.map((arg) => arg.replace("$DIR", folder))];
  const child = spawn(process.execPath, [PROGRAM, ...full], { stdio: ["ignore", "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (said.stdout += text));
  const closed = new Promise<number | null>((resolve) => {
    child.once("close", resolve);
  });
  try {
    const where = await new Promise<string>((resolve, reject) => {
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        said.stderr += text;
        const [, found] = /^listening at (\S+)$/mu.exec(said.stderr) ?? [];
        if (found !== undefined) resolve(found);
      });
      void closed.then(() => reject(new Error(`it does not listen: ${said.stderr}`)));
    });
    const ended = async (): Promise<Ended> => {
      const code = await closed;
      return { ...said, code: code ?? -1 } as Ended;
    };
    await use({ folder, uri: where, child, ended });
  } finally {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

async function dial(uri: string): Promise<Socket> {
  const port = Number(/\d+$/u.exec(uri)?.[0]);
  const socket = uri.startsWith("unix:") ? connect(uri.slice(5)) : connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  await new Promise<void>((resolve) => {
    socket.once("connect", resolve);
  });
  return socket;
}

/** What the other side answers until it closes, while this side stays open. */
async function answers(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of socket as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts).toString("hex");
}

/** A stream whose source asks for a return path and sends PING 1. */
function asking(stream: Buffer): Buffer {
  const start = stream.indexOf(Buffer.from("\x03ram\0\0\0\0\0\0\0\x04", "latin1")) - 5;
  const commands = Buffer.from("0800010000080002000400000001", "hex");
  return Buffer.concat([stream.subarray(0, start), commands, stream.subarray(start)]);
}

const PONG_1_SHUT = "00020004000000010001000400000000";

for (const name of ["recording-7.2-zlib", "recording-10.0-live"]) {
  test(`${name} sent again: the same files`, async (t) => {
    const { files, open } = recordingNamed(name);
    await receiving(["--out", "$DIR/rec/", "--json"], async ({ folder, uri, ended }) => {
      // The main channel last: the order of connections says nothing.
      for (const file of files.toReversed()) (await dial(uri)).end(open(file));
      const { code, stdout, stderr } = await ended();
      t.equal(code, 0, stderr);
      for (const file of files) t.ok(readFileSync(join(folder, "rec", file)).equals(open(file)), file);
      const { channels } = JSON.parse(stdout) as { channels: { file: string; role: string }[] };
      t.deepEqual(channels.map(({ file }) => file).toSorted(), files);
      const list = JSON.parse(readFileSync(join(folder, "rec", "recording.json"), "utf8")) as {
        channels: { file: string }[];
        sequence: [number, number, number][];
      };
      const lengths = list.channels.map(() => 0);
      for (const [channel, offset, length] of list.sequence) {
        if (lengths[channel] !== offset) t.fail(`a hole in channel ${channel} at ${offset}`);
        lengths[channel] = offset + length;
      }
      t.deepEqual(
        lengths,
        list.channels.map(({ file }) => open(file).length),
        "recording.json tells of every byte",
      );
      t.deepEqual(readdirSync(folder), ["rec"], "nothing is left beside it");
      t.equal((await qevm(["verify", join(folder, "rec")])).code, 0);
    });
  });
}

test("as one stream: a plain one as it came, others with all pages in it", async (t) => {
  const plain = corpusEntry("machine-none").open();
  await receiving(
    ["--out", "$DIR/vm.mig"],
    async ({ folder, uri, ended }) => {
      (await dial(uri)).end(plain);
      const { code, stdout } = await ended();
      t.equal(code, 0);
      t.match(stdout, /received at unix:/u);
      t.ok(readFileSync(join(folder, "vm.mig")).equals(plain));
    },
    "unix:$DIR/in.sock",
  );
  const { files, open, truth } = recordingNamed("recording-10.0-zstd");
  await receiving(["--out", "$DIR/vm.mig", "--as", "stream"], async ({ folder, uri, ended }) => {
    for (const file of files) (await dial(uri)).end(open(file));
    t.equal((await ended()).code, 0);
    t.deepEqual(readdirSync(folder), ["vm.mig"]);
    const run = await qevm(["extract", join(folder, "vm.mig"), "--out", join(folder, "out"), "--format", "blocks"]);
    t.equal(run.code, 0, run.stderr);
    const sha256 = createHash("sha256")
      .update(readFileSync(join(folder, "out", "ram")))
      .digest("hex");
    t.equal(sha256, truth.blocks[0]?.sha256);
  });
});

test("a source that waits is answered before it closes", async (t) => {
  const stream = asking(corpusEntry("machine-none").open());
  for (const step of [stream.length, 1000]) {
    await receiving(["--out", "$DIR/rec/"], async ({ folder, uri, ended }) => {
      const socket = await dial(uri);
      const heard = answers(socket);
      for (let at = 0; at < stream.length; at += step) {
        socket.write(stream.subarray(at, at + step));
        if (step < stream.length) await new Promise((resolve) => setTimeout(resolve, 2));
      }
      // The answers come while this end is open; then it closes as a source does.
      socket.once("data", () => undefined);
      await waitFor(() => existsSync(join(folder, "rec")) || socket.bytesRead >= PONG_1_SHUT.length / 2);
      socket.end();
      t.equal(await heard, PONG_1_SHUT, "PONG 1, SHUT 0");
      const { code, stderr } = await ended();
      t.equal(code, 0, stderr);
      t.ok(readFileSync(join(folder, "rec", "main.bin")).equals(stream));
      t.equal(readFileSync(join(folder, "rec", "return-path.bin")).toString("hex"), PONG_1_SHUT);
      t.equal((await qevm(["verify", join(folder, "rec")])).code, 0);
      t.match((await qevm(["inspect", join(folder, "rec")])).stdout, /return-path/u);
    });
  }
});

test("without VMDESCRIPTION a second of silence is the end; SWITCHOVER_ACK where it is asked for", async (t) => {
  const stream = asking(corpusEntry("suppress-vmdesc").open());
  await receiving(["--out", "$DIR/rec/", "--switchover-ack"], async ({ uri, ended }) => {
    const socket = await dial(uri);
    const heard = answers(socket);
    socket.write(stream);
    await waitFor(() => socket.bytesRead >= 20);
    socket.end();
    t.equal(await heard, "0002000400000001000700000001000400000000");
    t.equal((await ended()).code, 0);
  });
});

test("whole or not at all", async (t) => {
  const stream = asking(corpusEntry("machine-none").open());
  const cases: [string, Buffer, RegExp][] = [
    ["hangs up", stream.subarray(0, 5000), /hung up|ends inside/u],
    ["hangs up at once", stream.subarray(0, 6), /hung up|ends inside/u],
    ["is no source", Buffer.from("GET / HTTP/1.1\r\n\r\n"), /begins as no channel/u],
  ];
  for (const out of ["$DIR/rec/", "$DIR/vm.mig"]) {
    for (const [what, bytes, message] of cases) {
      await receiving(["--out", out], async ({ folder, uri, ended }) => {
        (await dial(uri)).end(bytes);
        const { code, stderr } = await ended();
        t.equal(code, 1, what);
        t.match(stderr, message);
        t.deepEqual(readdirSync(folder), [], "nothing is left");
      });
    }
  }
  const unknown = Buffer.from(stream);
  unknown[unknown.indexOf(Buffer.from("\x03ram\0\0\0\0\0\0\0\x04", "latin1")) - 5] = 0x77;
  await receiving(["--out", "$DIR/rec/"], async ({ folder, uri, ended }) => {
    const socket = await dial(uri);
    const heard = answers(socket);
    socket.write(unknown);
    t.match((await ended()).stderr, /unknown section type/u);
    t.match(await heard, /^0002000400000001(?:0001000400000001)?$/u, "SHUT 1, if it is still heard");
    t.deepEqual(readdirSync(folder), []);
  });
  await receiving(["--out", "$DIR/rec/"], async ({ folder, uri, child, ended }) => {
    (await dial(uri)).write(stream.subarray(0, 5000));
    await waitFor(() => readdirSync(folder).length > 0);
    child.kill("SIGTERM");
    t.equal((await ended()).code, 1);
    t.deepEqual(readdirSync(folder), [], "broken off: nothing is left");
  });
});

test("a probe that says nothing is not the source", async (t) => {
  const stream = corpusEntry("machine-none-tiny").open();
  await receiving(["--out", "$DIR/vm.mig"], async ({ folder, uri, ended }) => {
    (await dial(uri)).end();
    await new Promise((resolve) => setTimeout(resolve, 150));
    (await dial(uri)).end(stream);
    t.equal((await ended()).code, 0);
    t.ok(readFileSync(join(folder, "vm.mig")).equals(stream));
  });
});

test("exec: and fd:, and what is no place to listen at", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-receive-"));
  try {
    const stream = corpusEntry("machine-none").open();
    const [file, out] = [join(folder, "in"), join(folder, "out")];
    writeFileSync(file, stream);
    t.equal((await qevm(["receive", `exec:cat '${file}'`, "--out", out])).code, 0);
    t.ok(readFileSync(out).equals(stream), "exec:");
    rmSync(out);
    t.equal((await qevm(["receive", "fd:0", "--out", out], { stdin: stream })).code, 0);
    t.ok(readFileSync(out).equals(stream), "fd:");
    rmSync(out);
    const failed = await qevm(["receive", `exec:cat '${file}'; exit 3`, "--out", out]);
    t.equal(failed.code, 1);
    t.match(failed.stderr, /ended with exit code 3/u);
    const silent = await qevm(["receive", "exec:true", "--out", out]);
    t.match(silent.stderr, /nothing that begins as a stream/u);
    t.notOk(existsSync(out));
    for (const uri of ["nonsense", "tcp:host", "tcp:host:99999", "unix:", "exec:", "fd:x", "rdma:host:1"]) {
      t.equal((await qevm(["receive", uri, "--out", out])).code, 2, uri);
    }
    t.equal((await qevm(["receive", "exec:true"])).code, 2, "no --out");
    t.equal((await qevm(["receive", "exec:true", "--out", out, "--as", "song"])).code, 2);
    mkdirSync(join(folder, "full"));
    writeFileSync(join(folder, "full", "file"), "");
    t.equal(
      (await qevm(["receive", "exec:true", "--out", join(folder, "full")])).code,
      2,
      "a folder with something in it",
    );
    t.equal((await qevm(["receive", `unix:${folder}/no/such`, "--out", out])).code, 1);
    t.deepEqual(readdirSync(folder).toSorted(), ["full", "in"]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

/** SHA-256 of every block, as `extract` finds it in a recording. */
async function extracted(recording: string, out: string): Promise<Truth["blocks"]> {
  const run = await qevm(["extract", recording, "--out", out, "--format", "blocks", "--json"]);
  const { blocks } = JSON.parse(run.stdout) as { blocks: { name: string; file: string; length: number }[] };
  return blocks.map(({ name, file, length }) => {
    const sha256 = createHash("sha256")
      .update(readFileSync(join(out, file)))
      .digest("hex");
    return { name, length, sha256, how: "extract" };
  });
}

async function waitFor(ready: () => boolean): Promise<void> {
  for (let k = 0; k < 500 && !ready(); k++) await new Promise((resolve) => setTimeout(resolve, 10));
}

const LIVE = { args: direct("pc"), files: { "bios.img": dirtyFirmware.content() }, rounds: 3 };

const LIVE_CASES: readonly [string, number, boolean, Pick<Recipe, "args" | "files" | "rounds">][] = [
  ["plain", 0, true, still()],
  ["none", 2, true, LIVE],
  ["zlib", 8, true, LIVE],
  ["zstd", 2, false, still()],
  ["zlib", 2, false, still()],
  ["zstd", 8, true, still()],
];

for (const [method, channels, back, machine] of LIVE_CASES) {
  const kind = method === "plain" ? "plain" : `multifd ${method}, ${channels} channels`;
  const what = `${kind}, ${back ? "return path" : "one way"}, ${"rounds" in machine ? "live" : "still"}`;
  test(`a real 7.2 migrates to it: ${what}`, async (t) => {
    const qemu = qemuOf(t, "7.2");
    if (qemu === undefined) return;
    const multifd = method !== "plain";
    const recipe = {
      ...machine,
      capabilities: [...(multifd ? ["multifd"] : []), ...(back ? ["return-path"] : [])],
      parameters: multifd ? { "multifd-channels": channels, "multifd-compression": method } : {},
    };
    await receiving(["--out", "$DIR/rec/", "--json"], async ({ folder, uri, ended }) => {
      const vm = await startSource(qemu, recipe);
      let truth: Omit<Truth, "destination">;
      try {
        await migrateTo(vm, uri, recipe);
        t.pass("the source says completed");
        truth = await takeTruth(vm, null);
      } finally {
        await vm.close();
      }
      const { code, stdout, stderr } = await ended();
      t.equal(code, 0, stderr);
      const report = JSON.parse(stdout) as { channels: { role: string }[]; returnPath: boolean };
      t.equal(report.returnPath, back);
      t.equal(report.channels.filter(({ role }) => role === "multifd").length, channels);
      const verified = await qevm(["verify", join(folder, "rec"), "--json"]);
      const { identical, opaqueBytes } = JSON.parse(verified.stdout) as { identical: boolean; opaqueBytes: number };
      t.deepEqual([identical, opaqueBytes], [true, 0]);
      const plain = join(folder, "plain");
      t.equal((await qevm(["convert", join(folder, "rec"), "--out", plain, "--to", "stream"])).code, 0);
      const loaded = await startDestination({ qemu, args: recipe.args, files: recipe.files, stream: plain });
      try {
        t.equal(loaded.result.status, "completed", loaded.result.error);
        const told = await extracted(join(folder, "rec"), join(folder, "blocks"));
        const written = await compare(loaded.vm, { blocks: told, pmemsave: [], registers: "" });
        t.deepEqual(written.differentBlocks, [], `${written.equalBlocks.length} blocks as they were written down`);
        const { differentBlocks, equalBlocks } = await compare(loaded.vm, truth);
        // 7.2 under TCG may leave a page of a running guest dirty behind its own back.
        t.ok(differentBlocks.length <= ("rounds" in machine ? 1 : 0), `${equalBlocks.length} blocks as in the source`);
      } finally {
        await loaded.vm.close();
      }
    });
  });
}
