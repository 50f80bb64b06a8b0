import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import test from "tape";
import { corpusEntry } from "../tools/corpus.js";
import { recordingNamed } from "../tools/recording/corpus.js";
import { withDestination } from "./support/cut.js";
import { qevm } from "./support/program.js";
import { asking, dial, listening } from "./support/receiving.js";

/** Reads all and says nothing. */
function silent(socket: Socket): void {
  socket.resume();
  socket.on("end", () => socket.end());
}

const SHUT_0 = Buffer.from("0001000400000000", "hex");

test("a destination that lets go after so many bytes is an error, by a reset or not", async (t) => {
  const stream = corpusEntry("machine-none").open();
  for (const bytes of [0, 4, 100, 900, stream.length - 10]) {
    for (const how of ["reset", "close"] as const) {
      const left: true[] = [];
      const serve = (socket: Socket): void => {
        let heard = 0;
        const leave = (): void => {
          left.push(true);
          void (how === "reset" ? socket.resetAndDestroy() : socket.destroy());
        };
        if (bytes === 0) leave();
        socket.on("readable", () => {
          while (heard < bytes) {
            const piece = socket.read(Math.min(bytes - heard, socket.readableLength)) as Buffer | null;
            if (piece === null) return;
            heard += piece.length;
          }
          leave();
        });
      };
      await withDestination(serve, async (to) => {
        await listening(["relay", "tcp:127.0.0.1:0", to], async ({ uri, ended }) => {
          const source = await dial(uri);
          // All that was sent is unread there, or more comes after it has gone.
          if (how === "close") {
            source.write(stream.subarray(0, Math.max(bytes, 100) + 1));
            for (let k = 0; k < 200 && left.length === 0; k++) await sleep(10);
            await sleep(50);
            source.end(stream.subarray(Math.max(bytes, 100) + 1));
          } else source.end(stream);
          const { code, stderr } = await ended();
          t.equal(code, 2, `${how} after ${bytes}: ${stderr}`);
          t.notOk(/ at .*\.js:|undefined/u.test(stderr), "in words");
        });
      });
    }
  }
});

test("a source that asked for an answer and gets none is an error", async (t) => {
  await withDestination(silent, async (to) => {
    await listening(["relay", "tcp:127.0.0.1:0", to], async ({ uri, ended }) => {
      (await dial(uri)).end(asking(corpusEntry("machine-none").open(), 0));
      const { code, stderr } = await ended();
      t.equal(code, 2);
      t.match(stderr, /expected SHUT 0, found no SHUT/u);
    });
  });
});

test("connections that are none of the migration do not reach the destination", async (t) => {
  const { files, open } = recordingNamed("recording-7.2-zlib");
  const seen: Buffer[] = [];
  const serve = (socket: Socket): void => {
    const k = seen.push(Buffer.alloc(0)) - 1;
    socket.on("data", (piece) => (seen[k] = Buffer.concat([seen[k]!, piece])));
    socket.on("end", () => socket.end());
  };
  await withDestination(serve, async (to) => {
    await listening(["relay", "tcp:127.0.0.1:0", to, "--out", "$DIR/rec"], async ({ uri, folder, ended }) => {
      const names = ["main.bin", ...files.filter((name) => name !== "main.bin")];
      const sockets: Socket[] = [];
      const stray = async (text: string): Promise<void> => void (await dial(uri)).write(text);
      await stray("GET / HTTP/1.1\r\n\r\n");
      for (const name of names) {
        const socket = await dial(uri);
        socket.write(open(name));
        sockets.push(socket);
        await stray("QEVM\0\0\0\x03");
        await stray("");
        await sleep(50);
      }
      for (const socket of sockets) socket.end();
      const { code, stderr } = await ended();
      t.equal(code, 0, stderr);
      t.match(stderr, /a second main channel/u);
      t.deepEqual(
        seen.map((bytes) => bytes.length),
        names.map((name) => open(name).length),
        "the destination has the migration's channels, no more",
      );
      const list = JSON.parse(readFileSync(join(folder, "rec", "recording.json"), "utf8")) as {
        complete: boolean;
        refused: unknown[];
      };
      t.equal(list.complete, true);
      t.ok(list.refused.length >= 1 + names.length);
      t.equal((await qevm(["verify", join(folder, "rec")])).code, 0);
    });
  });
});

test("a recording that is on disk before the source hears SHUT 0; a full disk loses no guest", async (t) => {
  const stream = asking(corpusEntry("machine-none").open(), 0);
  const serve = (socket: Socket): void => {
    let heard = 0;
    socket.on("data", (piece) => {
      heard += piece.length;
      if (heard === stream.length) socket.write(SHUT_0);
    });
    socket.on("end", () => socket.end());
  };
  const run = async (out: string, padding: number): Promise<[number | null, string, string]> => {
    let result: [number | null, string, string] = [null, "", ""];
    await withDestination(serve, async (to) => {
      await listening(["relay", "tcp:127.0.0.1:0", to, "--out", out], async ({ uri, folder, ended }) => {
        const source = await dial(uri);
        const place = out.replace("$DIR", folder);
        let said = "";
        source.on("data", (piece: Buffer) => {
          said += piece.toString("hex");
          if (!said.endsWith(SHUT_0.toString("hex"))) return;
          if (padding === 0) {
            const list = JSON.parse(readFileSync(join(place, "recording.json"), "utf8")) as { complete: boolean };
            t.ok(list.complete, "it has its name, and is complete");
          }
          source.end();
        });
        source.write(stream);
        const { code, stderr } = await ended();
        result = [code, stderr, said];
      });
    });
    return result;
  };
  const [code, stderr] = await run("$DIR/rec", 0);
  t.equal(code, 0, stderr);
  const folder = mkdtempSync(join(tmpdir(), "qevm-relay-full-"));
  if (
    process.getuid?.() !== 0 ||
    spawnSync("mount", ["-t", "tmpfs", "-o", "size=268k", "tmpfs", folder]).status !== 0
  ) {
    t.comment("a full disk: left out, since it needs root and mount");
  } else {
    const full = await run(join(folder, "rec"), 1);
    t.equal(full[0], 2);
    t.match(full[1], /the migration continues/u);
    t.match(full[1], /the destination has the guest, but the recording is not whole/u);
    t.ok(full[2].endsWith(SHUT_0.toString("hex")), "the source hears that its guest is at the destination");
    spawnSync("umount", [folder]);
  }
  rmSync(folder, { recursive: true, force: true });
});

test("a destination that answers without end takes no memory while the source does not read", async (t) => {
  const flood = Buffer.alloc(1 << 20, Buffer.from("0002000400000001", "hex"));
  let sent = 0;
  const serve = (socket: Socket): void => {
    socket.resume();
    const more = (): void => {
      while (!socket.destroyed && sent < 400 << 20) {
        sent += flood.length;
        if (!socket.write(flood)) return;
      }
    };
    socket.on("drain", more);
    more();
  };
  await withDestination(serve, async (to) => {
    await listening(["relay", "tcp:127.0.0.1:0", to], async ({ uri, child }) => {
      const source = await dial(uri);
      source.pause();
      source.write(asking(corpusEntry("machine-none").open(), 0).subarray(0, 2000));
      await sleep(2000);
      const [, kib = "0"] = /^VmHWM:\s+(\d+) kB$/mu.exec(readFileSync(`/proc/${child.pid}/status`, "utf8")) ?? [];
      t.ok(Number(kib) < 300 << 10, `${Math.round(Number(kib) / 1024)} MiB at most`);
      t.ok(sent < 100 << 20, `the destination is made to wait after ${sent >> 20} MiB`);
      source.destroy();
    });
  });
});
