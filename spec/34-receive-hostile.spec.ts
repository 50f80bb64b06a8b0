import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import { corpusEntry } from "../tools/corpus.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { still } from "../tools/recording/machines.js";
import { migrateTo, startSource } from "../tools/recording/record.js";
import { qemuOf } from "./support/loads.js";
import { hello, sendLookAlikes } from "./support/look-alikes.js";
import { PROGRAM, qevm } from "./support/program.js";
import { asking, dial, listening, receiving } from "./support/receiving.js";
import { flatDocument } from "./support/document.js";

interface List {
  complete: boolean;
  reason?: string;
  refused: { from: string; receivedBytes: number; why: string }[];
}

function listOf(folder: string): List {
  return JSON.parse(readFileSync(join(folder, "recording.json"), "utf8")) as List;
}

/** What connects to a port that is open to all. */
const STRAYS: [string, Uint8Array][] = [
  ["an HTTP request", Buffer.from("GET / HTTP/1.1\r\n\r\n")],
  ["a TLS hello", Buffer.from("1603010200010001fc0303", "hex")],
  ["nothing", Buffer.alloc(0)],
  ["two bytes", Buffer.from("QE")],
  ["zeros", Buffer.alloc(300)],
  ["a stream of version 9", Buffer.from("5145564d00000009", "hex")],
  ["a second main channel", Buffer.from("5145564d0000000307", "hex")],
  ["a multifd channel of another guest", hello(7, 0xaa)],
  ["a channel for pages asked for", Buffer.from("000000000000000803616263", "hex")],
  ["answers", Buffer.from("0001000400000000", "hex")],
];

for (const leaves of [true, false]) {
  test(`connections that are none of the migration, which ${leaves ? "close" : "stay open"}`, async (t) => {
    const { files, open } = recordingNamed("recording-7.2-zlib");
    await receiving(["--out", "$DIR/rec/", "--json"], async ({ folder, uri, ended }) => {
      const stray = async (): Promise<void> => {
        for (const [, bytes] of STRAYS) {
          const socket = await dial(uri);
          if (leaves) socket.end(bytes);
          else socket.write(bytes);
        }
        await sleep(50);
      };
      // Before the source, between its channels and in their middle.
      const [, early] = STRAYS[0]!;
      (await dial(uri)).end(early);
      await dial(uri);
      const sockets: [Socket, Buffer][] = [];
      for (const file of ["main.bin", ...files.filter((name) => name !== "main.bin")]) {
        const [socket, bytes] = [await dial(uri), open(file)];
        socket.write(bytes.subarray(0, bytes.length >> 1));
        sockets.push([socket, bytes]);
        await sleep(20);
      }
      await stray();
      for (const [socket, bytes] of sockets) socket.end(bytes.subarray(bytes.length >> 1));
      const { code, stdout, stderr } = await ended();
      t.equal(code, 0, stderr);
      t.match(stderr, /closed a connection from 127\.0\.0\.1:\d+ after \d+ bytes: it does not begin/u);
      const received = flatDocument(stdout) as { complete: boolean; refused: unknown[] };
      t.equal(received.complete, true);
      const list = listOf(join(folder, "rec"));
      t.equal(list.complete, true);
      t.equal(list.refused.length, STRAYS.length + 2, "each is noted");
      for (const file of files) t.ok(readFileSync(join(folder, "rec", file)).equals(open(file)), file);
      t.equal((await qevm(["verify", join(folder, "rec")])).code, 0);
    });
  });
}

test("many idle connections do not keep the source out", async (t) => {
  const stream = corpusEntry("machine-none-tiny").open();
  await receiving(["--out", "$DIR/vm.mig"], async ({ folder, uri, ended }) => {
    for (let k = 0; k < 320; k++) await dial(uri);
    (await dial(uri)).end(stream);
    const { code, stderr } = await ended();
    t.equal(code, 0, stderr.slice(0, 1000));
    t.ok(readFileSync(join(folder, "vm.mig")).equals(stream));
    t.match(stderr, /more than 300 connections/u);
    t.ok(stderr.split("\n").length < 30, "not one line each");
  });
});

test("a header without a stream is not the source", async (t) => {
  const stream = corpusEntry("machine-none-tiny").open();
  await receiving(["--out", "$DIR/vm.mig"], async ({ folder, uri, ended }) => {
    (await dial(uri)).end(Buffer.from("5145564d00000003", "hex"));
    await sleep(100);
    (await dial(uri)).end(stream);
    const { code, stderr } = await ended();
    t.equal(code, 0, stderr);
    t.ok(readFileSync(join(folder, "vm.mig")).equals(stream));
  });
});

for (const leaves of [true, false]) {
  const how = leaves ? "close" : "stay open";
  test(`look-alikes that come before a source and ${how}`, async (t) => {
    const plain = corpusEntry("machine-none").open();
    const { files, open } = recordingNamed("recording-7.2-zlib");
    for (const channels of [undefined, files]) {
      const sent = (channels ?? ["main.bin"]).toSorted((a, b) => Number(b === "main.bin") - Number(a === "main.bin"));
      const bytesOf = channels === undefined ? (): Buffer => plain : open;
      await receiving(["--out", "$DIR/rec/", "--json"], async ({ folder, uri, ended }) => {
        const count = await sendLookAlikes(uri, bytesOf("main.bin"), leaves);
        await sleep(150);
        for (const file of sent) {
          (await dial(uri)).end(bytesOf(file));
          await sleep(20);
        }
        const { code, stderr } = await ended();
        t.equal(code, 0, stderr);
        const list = listOf(join(folder, "rec"));
        t.equal(list.complete, true);
        t.equal(list.refused.length, count, "each is noted");
        t.deepEqual(
          readdirSync(join(folder, "rec"))
            .filter((f) => f.endsWith(".bin"))
            .toSorted(),
          sent.toSorted(),
        );
        for (const file of sent) t.ok(readFileSync(join(folder, "rec", file)).equals(bytesOf(file)), file);
        t.equal((await qevm(["verify", join(folder, "rec")])).code, 0);
      });
    }
  });

  for (const channels of [0, 2]) {
    test(`look-alikes that ${how}, then a real source with ${channels} multifd channels`, async (t) => {
      const qemu = qemuOf(t, "7.2");
      if (qemu === undefined) return;
      const recipe = {
        ...still(),
        capabilities: channels > 0 ? ["multifd"] : [],
        parameters: channels > 0 ? { "multifd-channels": channels } : {},
      };
      await receiving(["--out", "$DIR/rec/", "--json"], async ({ folder, uri, ended }) => {
        const vm = await startSource(qemu, recipe);
        try {
          await sendLookAlikes(uri, corpusEntry("machine-none").open(), leaves);
          await sleep(100);
          await migrateTo(vm, uri, recipe);
          t.pass("the source says completed");
        } finally {
          await vm.close();
        }
        const { code, stderr } = await ended();
        t.equal(code, 0, stderr);
        t.equal(readdirSync(join(folder, "rec")).filter((f) => f.startsWith("multifd")).length, channels);
        t.equal((await qevm(["verify", join(folder, "rec")])).code, 0);
      });
    });
  }
}

/** A module that is loaded before the program, whose `fs` fails or stops where `step` says. */
function fault(folder: string, step: string): string {
  const path = join(folder, "fault.cjs");
  writeFileSync(path, `const fs = require("node:fs");\nconst { writeSync } = fs;\n${step}\n`);
  return path;
}

/** `qevm receive` with a fault, and what a source that waits for an answer hears. */
async function withFault(
  out: string,
  step: string,
): Promise<{ heard: string; code: number | null; signal: string | null; stderr: string; folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-fault-"));
  const target = join(folder, "out");
  mkdirSync(target);
  const args = ["--require", fault(folder, step), PROGRAM, "receive", `unix:${folder}/s`, "--out", join(target, out)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "ignore", "pipe"] });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const closed = new Promise<[number | null, string | null]>((resolve) => {
    child.once("close", (code, signal) => resolve([code, signal]));
  });
  for (let k = 0; k < 500 && !stderr.includes("listening"); k++) await sleep(10);
  const socket = await dial(`unix:${folder}/s`);
  const parts: Buffer[] = [];
  socket.on("data", (part: Buffer) => {
    parts.push(part);
    if (Buffer.concat(parts).includes(Buffer.from("00010004", "hex"))) socket.end();
  });
  socket.write(asking(corpusEntry("machine-none").open()));
  const [code, signal] = await closed;
  return { heard: Buffer.concat(parts).toString("hex"), code, signal, stderr, folder: target };
}

const SHUT_0 = "0001000400000000";

test("nothing is confirmed before the disk has it under its name", async (t) => {
  for (const out of ["rec/", "vm.mig"]) {
    for (const [what, step] of [
      ["fsync fails", "fs.fsyncSync = () => { throw new Error('EIO: of the test') }"],
      ["rename fails", "fs.renameSync = () => { throw new Error('EIO: of the test') }"],
      [
        "the list cannot be written",
        "fs.writeSync = (fd, b, ...a) => { if (Buffer.from(b).includes('\"channels\"')) throw new Error('EIO: of the test'); return writeSync(fd, b, ...a) }",
      ],
    ] as const) {
      const { heard, code, stderr, folder } = await withFault(out, step);
      t.equal(code, 2, `${what}, ${out}: ${stderr}`);
      t.notOk(heard.includes(SHUT_0), "the source is not told to end its guest");
      t.match(heard, /0001000400000001$/u, "it is told that the migration failed");
      t.ok(readdirSync(folder).length > 0, "what came is kept");
      rmSync(join(folder, ".."), { recursive: true });
    }
  }
});

test("killed exactly before and after it is confirmed", async (t) => {
  for (const out of ["rec/", "vm.mig"]) {
    for (const signal of ["SIGKILL", "SIGINT"]) {
      // Before: where the first name is given.
      const kill = `process.kill(process.pid, "${signal}");`;
      const before = await withFault(
        out,
        `const { renameSync } = fs; fs.renameSync = (...a) => { ${signal === "SIGKILL" ? kill : `setTimeout(() => {}, 50); if (!globalThis.once) { globalThis.once = 1; process.emit("${signal}", "${signal}"); }`} return renameSync(...a) }`,
      );
      t.equal(before.signal, signal, before.stderr);
      t.notOk(before.heard.includes(SHUT_0), `${signal} before, ${out}`);
      rmSync(join(before.folder, ".."), { recursive: true });
      // After: where the last word goes out.
      const after = await withFault(
        out,
        `const net = require("node:net"); const { write } = net.Socket.prototype; net.Socket.prototype.write = function (b, ...a) { const r = write.call(this, b, ...a); if (b.length === 8 && b[1] === 1) ${kill} return r }`,
      );
      t.equal(after.signal, signal, after.stderr);
      const { folder } = after;
      const name = out.replace("/", "");
      t.ok(existsSync(join(folder, name)), `${signal} after, ${out}: it is there under its name`);
      t.equal((await qevm(["verify", join(folder, name)])).code, 0, "and whole");
      rmSync(join(folder, ".."), { recursive: true });
    }
  }
});

const isRoot = process.getuid?.() === 0;
const noTmpfs = (folder: string): boolean =>
  !isRoot || spawnSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]).status !== 0;

test("a full disk", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-full-"));
  if (noTmpfs(folder)) {
    t.skip("needs root and mount, for a small file system");
    rmSync(folder, { recursive: true });
    t.end();
    return;
  }
  // More PINGs than the disk has room for.
  const stream = asking(corpusEntry("machine-none").open(), 400_000);
  try {
    for (const out of ["rec/", "vm.mig"]) {
      for (const filled of [0, 640]) {
        rmSync(join(folder, "fill"), { force: true });
        writeFileSync(join(folder, "fill"), Buffer.alloc(filled << 10));
        await receiving(["--out", join(folder, out)], async ({ uri, ended }) => {
          const socket = await dial(uri);
          let heard = "";
          socket.on("data", (part: Buffer) => (heard += part.toString("hex")));
          socket.write(stream);
          const { code, stderr } = await ended();
          t.equal(code, 2, stderr.slice(0, 500));
          t.notOk(heard.includes(SHUT_0), "not confirmed");
          t.match(stderr, /received data is kept/u);
          const kept = join(folder, out === "rec/" ? "rec" : "vm.mig.partial");
          t.ok(statSync(kept).isDirectory());
          t.equal(listOf(kept).complete, false, "the list has room");
          rmSync(kept, { recursive: true });
        });
      }
    }
  } finally {
    spawnSync("umount", [folder]);
    rmSync(folder, { recursive: true, force: true });
  }
});

test("a source that asks without end and does not read takes no memory", async (t) => {
  await receiving(["--out", "$DIR/rec/"], async ({ uri, child, ended }) => {
    const socket = await dial(uri);
    socket.pause();
    const bytes = asking(corpusEntry("machine-none").open(), 16_000_000);
    socket.write(bytes);
    // Later it is refused: more items than the bytes so far may have.
    await sleep(1000);
    const most = highWater(child.pid!);
    t.ok(most < 400, `${most} MiB at most, of ${bytes.length} bytes of PINGs`);
    // The kernel's own buffers may take up to 33 MB in each direction (net.ipv4.tcp_rmem).
    const taken = socket.bytesWritten - socket.writableLength;
    t.ok(taken < 110_000_000, `the source is made to wait: ${taken} of ${bytes.length} bytes taken`);
    const { code, stderr } = await ended();
    t.equal(code, 2, stderr);
    t.match(stderr, /too many sections, parts of sections and commands/u, "refused in the end");
    socket.destroy();
  });
});

/** MiB of memory that a process had at most. */
function highWater(pid: number): number {
  const [, kib = "0"] = /^VmHWM:\s+(\d+) kB$/mu.exec(readFileSync(`/proc/${pid}/status`, "utf8")) ?? [];
  return Math.round(Number(kib) / 1024);
}

test("a unix socket: whose it is, how long its path, and that it goes away", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "qevm-unix-"));
  const out = join(folder, "vm.mig");
  try {
    const long = join(folder, "x".repeat(108 - folder.length - 1));
    for (const [command, ...rest] of [
      ["receive", "--out", out],
      ["relay", "tcp:127.0.0.1:1"],
    ] as const) {
      const at = async (path: string): Promise<{ code: number | null; stderr: string }> => {
        const args = command === "relay" ? [`unix:${path}`, ...rest] : [`unix:${path}`, ...rest];
        return await qevm([command, ...args]);
      };
      const tooLong = await at(long);
      t.equal(tooLong.code, 2, `${command}: ${long.length} bytes`);
      t.match(tooLong.stderr, /too long.*at most 107.*108/u);
      const file = join(folder, "file");
      writeFileSync(file, "precious");
      const notSocket = await at(file);
      t.equal(notSocket.code, 2);
      t.match(notSocket.stderr, /not a socket/u);
      t.equal(readFileSync(file, "utf8"), "precious");
      const busy = join(folder, "busy");
      const server = createServer().listen(busy);
      await sleep(50);
      const { ino } = statSync(busy);
      const taken = await at(busy);
      t.equal(taken.code, 2);
      t.match(taken.stderr, /another process uses this socket/u);
      t.equal(statSync(busy).ino, ino, "it is left alone");
      await new Promise((resolve) => {
        server.close(resolve);
      });
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  for (const args of [
    ["receive", "unix:$DIR/s", "--out", "$DIR/vm.mig"],
    ["relay", "unix:$DIR/s", "tcp:127.0.0.1:1"],
  ]) {
    await listening(args, async ({ folder: own, child, ended }) => {
      t.deepEqual(readdirSync(own).includes("s"), true);
      child.kill("SIGTERM");
      await ended();
      t.equal(child.signalCode, "SIGTERM");
      t.deepEqual(readdirSync(own), [], `${args[0]}: the socket is gone`);
    });
    await listening(args, async ({ folder: own, child, ended }) => {
      rmSync(join(own, "s"));
      const server = createServer().listen(join(own, "s"));
      await sleep(50);
      child.kill("SIGINT");
      await ended();
      t.ok(existsSync(join(own, "s")), `${args[0]}: a socket that another process made since is left`);
      await new Promise((resolve) => {
        server.close(resolve);
      });
    });
  }
});
