import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import test from "tape";
import { QevmError } from "../src/bytes/errors.js";
import { MemorySource } from "../src/bytes/index.js";
import { followChannel, followStream, type Follower } from "../src/io/transport/followed.js";
import { sendChannels } from "../src/io/transport/send-channels.js";
import { sendStream } from "../src/io/transport/send.js";
import { corpusEntry, projectRoot } from "../tools/corpus.js";
import { compare, destinationLike, startDestination } from "../tools/destination/index.js";
import { refusal } from "./support/bytes.js";
import { qemuOf } from "./support/loads.js";
import { PROGRAM, qevm, type Ended } from "./support/program.js";
import { freePort } from "./support/receiving.js";
import { flatDocument } from "./support/document.js";

const entry = corpusEntry("live");

/** A folder with the capture as `stream`. */
async function withStream(use: (folder: string, file: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-"));
  try {
    writeFileSync(join(folder, "stream"), entry.open());
    await use(folder, join(folder, "stream"));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

for (const kind of ["unix", "tcp"] as const) {
  test(`a real 7.2 waits at ${kind}: and loads what is sent`, async (t) => {
    if (qemuOf(t, "7.2") === undefined) return;
    await withStream(async (_, file) => {
      const port = await freePort();
      const uri = kind === "unix" ? "unix:$DIR/in.sock" : `tcp:127.0.0.1:${port}`;
      let sent: Ended | undefined;
      const { vm, result } = await startDestination({
        ...destinationLike(entry, { stream: uri }),
        onListening: async (destination) => {
          sent = await qevm(["send", file, uri.replace("$DIR", destination.folder), "--json"]);
        },
      });
      try {
        t.equal(sent?.code, 0, sent?.stderr);
        t.equal((flatDocument(sent?.stdout ?? "{}") as { sentBytes: number }).sentBytes, entry.open().length);
        t.equal(result.status, "completed", result.error);
        const found = await compare(vm, entry.truth);
        t.deepEqual([found.differentBlocks, found.registersEqual], [[], true]);
      } finally {
        await vm.close();
      }
    });
  });
}

test("a real 7.2 of another machine type hangs up: the report says after how much", async (t) => {
  if (qemuOf(t, "7.2") === undefined) return;
  await withStream(async (folder, file) => {
    // Larger than what a socket buffers, so that the sender is still at it.
    const other = join(folder, "other");
    writeFileSync(other, Buffer.concat([entry.open(), Buffer.alloc(32 << 20)]));
    let sent: Ended | undefined;
    const like = destinationLike(entry, { stream: "unix:$DIR/in.sock" });
    const { vm, result } = await startDestination({
      ...like,
      args: ["-machine", "none", "-m", "8"],
      files: {},
      onListening: async (destination) => {
        sent = await qevm(["send", other, `unix:${destination.folder}/in.sock`]);
      },
    });
    try {
      t.equal(result.loaded, false);
      t.match(result.error, /Machine type received is/u);
      t.equal(sent?.code, 2);
      t.match(sent?.stderr ?? "", /the destination closed after \d+ of \d+ bytes/u);
    } finally {
      await vm.close();
    }
    t.ok(file.length > 0);
  });
});

for (const kind of ["unix", "tcp"] as const) {
  test(`${kind}: a destination that leaves with bytes unread is not a success, though all were handed over`, async (t) => {
    await withStream(async (folder) => {
      const file = join(folder, "short");
      writeFileSync(file, entry.open().subarray(0, 152));
      // Nothing is read: the sender has long ended when the socket goes.
      const server = createServer({ pauseOnConnect: true }, (socket) => {
        socket.on("error", () => undefined);
        setTimeout(() => (kind === "tcp" ? socket.resetAndDestroy() : socket.destroy()), 700);
      });
      const path = join(folder, "socket");
      await once(kind === "tcp" ? server.listen(0, "127.0.0.1") : server.listen(path), "listening");
      try {
        const { port } = server.address() as AddressInfo;
        const uri = kind === "tcp" ? `tcp:127.0.0.1:${port}` : `unix:${path}`;
        const ended = await qevm(["send", file, uri]);
        // The stream is cut, too.
        t.equal(ended.code, 1, ended.stdout);
        t.match(
          ended.stderr,
          /ECONNRESET: the destination closed after all 152 bytes.*: the input ends inside RAM block/u,
        );
      } finally {
        server.close();
      }
    });
  });
}

test("channels: the main one says how it ended, a reset of another nothing", async (t) => {
  await withStream(async (folder) => {
    for (const reset of [1, 0]) {
      let taken = 0;
      const server = createServer({ pauseOnConnect: true }, (socket) => {
        socket.on("error", () => undefined);
        if (taken++ === reset) setTimeout(() => socket.destroy(), 300);
        else socket.resume();
      });
      const path = join(folder, `socket-${reset}`);
      await once(server.listen(path), "listening");
      try {
        const channels = [100, 200].map((length) => ({ open: () => new MemorySource(new Uint8Array(length)) }));
        const error = await refusal(async () => t.equal(await sendChannels(channels, `unix:${path}`), 300));
        if (reset === 0) t.match(error?.message ?? "", /ECONNRESET: the destination closed after all 100 bytes/u);
        else t.equal(error, undefined);
      } finally {
        server.close();
      }
    }
  });
});

test("a source that fails is not the destination's fault", async (t) => {
  let aborted = false;
  const destination = {
    write: () => undefined,
    end: async () => undefined,
    abort: () => (aborted = true),
    over: Promise.resolve(),
  };
  const source = {
    read: () => {
      throw new QevmError("io", "EIO: the disk");
    },
  };
  const error = await refusal(() => sendStream(source, destination));
  t.equal(error?.message, "EIO: the disk");
  t.ok(aborted, "given up");
});

test("exec: and fd: get every byte", async (t) => {
  await withStream(async (folder, file) => {
    const out = join(folder, "out");
    t.equal((await qevm(["send", file, `exec:cat > '${out}'`])).code, 0);
    t.ok(readFileSync(out).equals(entry.open()), "exec:");
    const fd = openSync(join(folder, "fd"), "w");
    const child = spawn(process.execPath, [PROGRAM, "send", file, "fd:3"], {
      stdio: ["ignore", "ignore", "inherit", fd],
    });
    const code = await new Promise((resolve) => {
      child.once("close", resolve);
    });
    closeSync(fd);
    t.equal(code, 0);
    t.ok(readFileSync(join(folder, "fd")).equals(entry.open()), "fd:");
    const failed = await qevm(["send", file, "exec:cat > /dev/null; exit 3"]);
    t.equal(failed.code, 2);
    t.match(failed.stderr, /ended with exit code 3/u);
    t.match(
      (await qevm(["send", file, "exec:head -c 1000 > /dev/null"])).stderr,
      /the destination closed after \d+ of/u,
    );
  });
});

/** A channel of a recording of the corpus. */
function recorded(name: string, channel: string): Buffer {
  return gunzipSync(readFileSync(join(projectRoot(), "corpus", name, `${channel}.bin.gz`)));
}

/** What a follower says of bytes that end there. */
async function followed(follower: Follower, bytes: Uint8Array): Promise<QevmError | undefined> {
  for (let at = 0; at < bytes.length; at += 1 << 18) await follower.feed(bytes.subarray(at, at + (1 << 18)));
  return await refusal(() => follower.end());
}

test("a cut stream is sent as far as it came, and is an error: where it ends and what is missing", async (t) => {
  await withStream(async (folder) => {
    const cut = entry.open().subarray(0, 400_000);
    const [file, out] = [join(folder, "cut"), join(folder, "out")];
    writeFileSync(file, cut);
    for (const [what, stdin] of [
      [file, undefined],
      ["-", cut],
    ] as const) {
      const ended = await qevm(["send", what, `exec:cat > '${out}'`, "--json"], stdin && { stdin });
      const { error } = JSON.parse(ended.stdout) as { error: Record<string, unknown> };
      t.equal(ended.code, 1, what);
      t.ok(readFileSync(out).equals(cut), "every byte was sent");
      const { code, message, streamOffset, path, expected, found } = error;
      t.equal(message, "sent as far as it came, 400000 bytes: the input ends inside page data");
      t.deepEqual([code, streamOffset, path], ["truncated", 400_000, ['section 2 "ram"', "record 19"]]);
      t.deepEqual([expected, found], ["4104 bytes from 398395", "1605"]);
    }
    t.equal((await qevm(["send", file, "exec:cat > /dev/null", "--lenient"])).code, 0, "--lenient asks nothing");
    const gone = await qevm(["send", file, "exec:exit 7"]);
    t.deepEqual([gone.code, /ended with exit code 7/u.test(gone.stderr)], [2, true], "not all of it was sent");
  });
});

test("what ends a stream of each kind is its end, and nothing before", async (t) => {
  const streams = ["live", "xbzrle-small-cache", "block", "suppress-vmdesc", "machine-none", "dirty-bitmap", "pc-1.4"];
  const all: [string, Buffer][] = [
    ...streams.map((name) => [name, corpusEntry(name).open()] as [string, Buffer]),
    ["postcopy", recorded("postcopy-11.1", "main")],
  ];
  for (const [name, whole] of all) {
    t.equal(await followed(followStream(), whole), undefined, name);
    for (const left of [1, 200, whole.length >> 1, whole.length - 9]) {
      const error = await followed(followStream(), whole.subarray(0, whole.length - left));
      t.equal(error?.code, "truncated", `${name} without its last ${left} bytes: ${error?.message}`);
    }
  }
  const channel = recorded("recording-7.2-zlib", "multifd-0");
  t.equal(await followed(followChannel(4096), channel), undefined, "a channel");
  const error = await followed(followChannel(4096), channel.subarray(0, channel.length - 1));
  t.equal(error?.code, "truncated", error?.message);
});

test("channels: a cut one is an error", async (t) => {
  await withStream(async (folder) => {
    const server = createServer((socket) => socket.on("error", () => undefined).resume());
    const path = join(folder, "socket");
    await once(server.listen(path), "listening");
    try {
      const cut = recorded("recording-7.2-zlib", "multifd-0").subarray(0, 5000);
      const channels = [entry.open(), cut].map((bytes) => ({ open: () => new MemorySource(bytes) }));
      const error = await refusal(() => sendChannels(channels, `unix:${path}`, { checks: true }));
      t.match(error?.message ?? "", /sent as far as it came, 5000 bytes: /u);
    } finally {
      server.close();
    }
  });
});

test("no faster than --max-bandwidth, and no faster than the destination reads", async (t) => {
  await withStream(async (_, file) => {
    const { length } = entry.open();
    const limited = await qevm(["send", file, "exec:cat > /dev/null", "--max-bandwidth", "4M", "--json"]);
    const { seconds } = flatDocument(limited.stdout) as { seconds: number };
    t.ok(seconds > (length / (4 << 20)) * 0.9, `${seconds.toFixed(2)} s for ${length} bytes at 4 MiB a second`);
    const slow = await qevm(["send", file, "exec:sleep 1; cat > /dev/null", "--json"]);
    t.ok((flatDocument(slow.stdout) as { seconds: number }).seconds > 0.9, "a destination that sleeps is waited for");
  });
});

test("what is not a destination", async (t) => {
  await withStream(async (folder, file) => {
    for (const uri of ["nonsense", "tcp:host", "tcp:host:99999", "unix:", "exec:", "fd:x", "rdma:host:1"]) {
      t.equal((await qevm(["send", file, uri])).code, 2, uri);
    }
    t.equal((await qevm(["send", file, "exec:true", "--max-bandwidth", "fast"])).code, 2);
    const nobody = await qevm(["send", file, `unix:${join(folder, "nobody")}`]);
    t.equal(nobody.code, 2);
    t.match(nobody.stderr, /ENOENT/u);
  });
});
