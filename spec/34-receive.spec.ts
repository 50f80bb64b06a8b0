import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "tape";
import { corpusEntry } from "../tools/corpus.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { KeptTail } from "../src/live/receive/index.js";
import { LiveMain, type LiveOptions } from "../src/live/receive/live-main.js";
import { PROGRAM, qevm } from "./support/program.js";
import { asking, dial, receiving } from "./support/receiving.js";
import { flatDocument } from "./support/document.js";
import { sha256Of } from "../tools/sha256.js";

/** What the other side answers until it closes, while this side stays open. */
async function answers(socket: Socket): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of socket as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts).toString("hex");
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
      const { channels } = flatDocument(stdout) as { channels: { file: string; role: string }[] };
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
    const sha256 = sha256Of(readFileSync(join(folder, "out", "ram")));
    t.equal(sha256, truth.blocks[0]?.sha256);
  });
});

test("a name without extension: channels of more than one are a folder, a lone one a file", async (t) => {
  const { files, open } = recordingNamed("recording-7.2-zstd");
  await receiving(["--out", "$DIR/vm", "--json"], async ({ folder, uri, ended }) => {
    for (const file of files) (await dial(uri)).end(open(file));
    t.equal((flatDocument((await ended()).stdout) as { as: string }).as, "recording");
    t.deepEqual(readdirSync(folder), ["vm"]);
    t.equal(readdirSync(join(folder, "vm")).length, files.length + 2);
  });
  const plain = corpusEntry("machine-none-tiny").open();
  await receiving(["--out", "$DIR/vm", "--json"], async ({ folder, uri, ended }) => {
    (await dial(uri)).end(plain);
    t.equal((flatDocument((await ended()).stdout) as { as: string }).as, "stream");
    t.ok(readFileSync(join(folder, "vm")).equals(plain));
  });
});

test("channels that cannot be brought together are kept", async (t) => {
  const { files, open } = recordingNamed("recording-10.0-zlib");
  await receiving(["--out", "$DIR/vm.mig"], async ({ folder, uri, ended }) => {
    // Another method, which needs its hardware: the flags of every packet that has pages.
    for (const file of files) {
      const bytes = open(file);
      const head = Buffer.from("112233440000000100000002", "hex");
      for (let at = bytes.indexOf(head); at >= 0; at = bytes.indexOf(head, at + 1)) bytes[at + 11] = 0x20;
      (await dial(uri)).end(bytes);
    }
    const { code, stderr } = await ended();
    t.equal(code, 2);
    t.match(stderr, /no codec opens the qatzip payload/u);
    t.deepEqual(readdirSync(folder), ["vm.mig.recording"]);
    const inspected = await qevm(["inspect", join(folder, "vm.mig.recording"), "--json"]);
    t.ok((flatDocument(inspected.stdout) as { opaqueBytes: number }).opaqueBytes > 10_000, "opaque, and counted");
    const verified = await qevm(["verify", join(folder, "vm.mig.recording"), "--json"]);
    t.equal(verified.code, 0, verified.stderr);
    t.equal(
      (flatDocument(verified.stdout) as { epochs: null }).epochs,
      null,
      "framed, identical, but not brought together",
    );
  });
});

test("a unix socket that was left behind is taken over, a busy one is not", async (t) => {
  const stream = corpusEntry("machine-none-tiny").open();
  await receiving(
    ["--out", "$DIR/first.mig"],
    async ({ folder, uri, child, ended }) => {
      t.equal((await qevm(["receive", uri, "--out", join(folder, "no.mig")])).code, 2, "busy");
      child.kill("SIGKILL");
      await ended();
      const again = spawn(process.execPath, [PROGRAM, "receive", uri, "--out", join(folder, "vm.mig")], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      const closed = new Promise((resolve) => {
        again.once("close", resolve);
      });
      await new Promise((resolve) => {
        again.stderr.once("data", resolve);
      });
      (await dial(uri)).end(stream);
      t.equal(await closed, 0);
      t.ok(readFileSync(join(folder, "vm.mig")).equals(stream));
    },
    "unix:$DIR/in.sock",
  );
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

test("however often a source asks, nothing is said of it", async (t) => {
  await receiving(["--out", "$DIR/rec/"], async ({ uri, ended }) => {
    const socket = await dial(uri);
    const heard = answers(socket);
    socket.write(asking(corpusEntry("machine-none").open(), 30));
    await waitFor(() => socket.bytesRead >= 30 * 8 + 8);
    socket.end();
    t.equal((await heard).length, 2 * (30 * 8 + 8), "30 PONGs and SHUT");
    const { code, stderr } = await ended();
    t.equal(code, 0, stderr);
    t.notOk(/Warning/u.test(stderr), stderr);
  });
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

/** What is replied to a main channel. */
async function replied(bytes: Buffer, options: LiveOptions): Promise<string> {
  const tail = new KeptTail();
  let heard = "";
  const answer = async (reply: Uint8Array): Promise<void> => {
    heard += Buffer.from(reply).toString("hex");
  };
  const live = new LiveMain(tail, answer, options);
  tail.add(bytes);
  await live.feed(bytes);
  live.end();
  await live.done;
  return heard;
}

const vfioTag = (number: number): string => `ffffffffef10000${number}`;
const hexOf = (text: string): string => Buffer.from(text, "latin1").toString("hex");

const vfioStart = (id: number): string =>
  `010000000${id}11${hexOf(`0000:00:0${id}.0/vfio`)}0000000000000001${vfioTag(3)}${vfioTag(1)}7e0000000${id}`;
const initSent = (id: number): string => `020000000${id}${vfioTag(4)}0000000000000001aa${vfioTag(5)}7e0000000${id}`;
const loadReady = (id: number): string => `020000000${id}${vfioTag(6)}7e0000000${id}`;

/** What is replied to a source with two VFIO devices, the first of which asks a second time. */
async function acknowledged(machine: string, switchoverAck: boolean): Promise<string> {
  const ram = `0100000002${hexOf("\x03ram")}0000000000000004${"00".repeat(7)}04${"00".repeat(7)}107e00000002`;
  const head = `5145564d0000000307000000${machine.length.toString(16).padStart(2, "0")}${hexOf(machine)}`;
  const parts = [vfioStart(4), vfioStart(5), initSent(4), loadReady(4), initSent(5), initSent(4)].join("");
  return await replied(Buffer.from(`${head}0800010000${ram}${parts}`, "hex"), { switchoverAck });
}

test("SWITCHOVER_ACK: one in all up to the machine types of 11.0, then one each time that a device asks", async (t) => {
  const ack = "00070000";
  t.equal(await acknowledged("pc-i440fx-11.0", true), ack, "after the setup");
  t.equal(await acknowledged("pc-i440fx-11.0", false), ack, "a device that asks shows the capability");
  t.equal(await acknowledged("none", true), ack, "without a release as before");
  t.equal(await acknowledged("pc-q35-11.1", true), ack.repeat(3), "counted, the setup is none of them");
  t.equal(await acknowledged("pc-q35-11.1", false), ack.repeat(3));
});

test("a guest that keeps its memory is refused", async (t) => {
  const [eos, footer] = [`${"00".repeat(7)}10`, "7e00000002"];
  const block = `${"00".repeat(6)}1004${Buffer.from("\x03ram", "latin1").toString("hex")}${"00".repeat(6)}1000`;
  const start = "5145564d0000000301000000020372616d0000000000000004";
  const bytes = (page: string): Buffer =>
    Buffer.from(`${start}${block}${eos}${footer}0300000002${page}${eos}${footer}00`, "hex");
  const zero = `${"00".repeat(7)}020372616d00`;
  for (const page of ["", zero]) {
    await receiving(["--out", "$DIR/rec/"], async ({ uri, ended }) => {
      (await dial(uri)).end(bytes(page));
      const { code, stderr } = await ended();
      t.equal(code, page === "" ? 2 : 0, "zero pages are its memory");
      if (page === "") t.match(stderr, /no page of the guest's memory is sent: mode cpr-/u);
    });
  }
});

test("what came is kept where the migration fails, and read with --lenient", async (t) => {
  const stream = asking(corpusEntry("machine-none").open());
  const part = stream.subarray(0, 5000);
  for (const [out, kept] of [
    ["$DIR/rec/", "rec"],
    ["$DIR/vm.mig", "vm.mig.partial"],
  ] as const) {
    await receiving(["--out", out], async ({ folder, uri, ended }) => {
      (await dial(uri)).end(part);
      const { code, stderr } = await ended();
      t.equal(code, 2);
      t.match(stderr, /closed before its stream|ends inside/u);
      t.match(stderr, /received data is kept in .*--lenient/u);
      t.deepEqual(readdirSync(folder), [kept], "no more than that");
      const list = JSON.parse(readFileSync(join(folder, kept, "recording.json"), "utf8")) as Record<string, unknown>;
      t.equal(list["complete"], false);
      t.match(String(list["reason"]), /closed before its stream|ends inside/u);
      t.ok(readFileSync(join(folder, kept, "main.bin")).equals(part));
      const strict = await qevm(["inspect", join(folder, kept)]);
      t.equal(strict.code, 1);
      t.match(strict.stderr, /not complete.*--lenient/su, "strict: refused in words");
      t.notEqual((await qevm(["inspect", join(folder, kept), "--lenient"])).stdout, "");
    });
  }
  const unknown = Buffer.from(stream);
  unknown[unknown.indexOf(Buffer.from("\x03ram\0\0\0\0\0\0\0\x04", "latin1")) - 5] = 0x77;
  await receiving(["--out", "$DIR/rec/"], async ({ folder, uri, ended }) => {
    const socket = await dial(uri);
    const heard = answers(socket);
    socket.write(unknown);
    t.match((await ended()).stderr, /unknown section type/u);
    t.match(await heard, /^0002000400000001(?:0001000400000001)?$/u, "SHUT 1, if it is still heard");
    t.deepEqual(readdirSync(folder), ["rec"]);
  });
  for (const [out, kept] of [
    ["$DIR/rec/", "rec"],
    ["$DIR/vm.mig", "vm.mig.partial"],
  ] as const) {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      await receiving(["--out", out], async ({ folder, uri, child, ended }) => {
        const socket = await dial(uri);
        socket.write(part);
        await waitFor(() => socket.bytesRead >= 8);
        child.kill(signal);
        const { stderr } = await ended();
        t.equal(child.signalCode, signal, "by the signal itself, as every command ends");
        t.deepEqual(readdirSync(folder), [kept]);
        t.ok(readFileSync(join(folder, kept, "main.bin")).equals(part), "broken off: what came is kept");
        t.match(readFileSync(join(folder, kept, "recording.json"), "utf8"), new RegExp(`ended by ${signal}`, "u"));
        t.match(stderr, /--lenient/u);
      });
    }
  }
  await receiving(["--out", "$DIR/rec/"], async ({ folder, child, ended }) => {
    child.kill("SIGINT");
    await ended();
    t.deepEqual(readdirSync(folder), [], "nothing came: nothing is kept");
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

test("exec: and fd:, and what is not a place to listen at", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-receive-"));
  try {
    const stream = corpusEntry("machine-none").open();
    const [file, out] = [join(folder, "in"), join(folder, "out")];
    writeFileSync(file, stream);
    const run = await qevm(["receive", `exec:cat '${file}'`, "--out", out]);
    t.equal(run.code, 0);
    t.equal(run.stderr, `reading from exec:cat '${file}'\n`);
    t.match(run.stdout, / received from exec:/u);
    t.ok(readFileSync(out).equals(stream), "exec:");
    rmSync(out);
    t.equal((await qevm(["receive", "fd:0", "--out", out], { stdin: stream })).code, 0);
    t.ok(readFileSync(out).equals(stream), "fd:");
    rmSync(out);
    const failed = await qevm(["receive", `exec:cat '${file}'; exit 3`, "--out", out]);
    t.equal(failed.code, 2);
    t.match(failed.stderr, /ended with exit code 3/u);
    const silent = await qevm(["receive", "exec:true", "--out", out]);
    t.match(silent.stderr, /no stream header/u);
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
    t.equal((await qevm(["receive", `unix:${folder}/no/such`, "--out", out])).code, 2);
    t.deepEqual(
      readdirSync(folder).toSorted(),
      ["full", "in", "out.partial"],
      "what came of the program that failed is kept",
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

async function waitFor(ready: () => boolean): Promise<void> {
  for (let k = 0; k < 500 && !ready(); k++) await new Promise((resolve) => setTimeout(resolve, 10));
}
