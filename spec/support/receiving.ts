/** Runs listening commands for the chapters, and connects to them. */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROGRAM, type Ended } from "./program.js";

/** A running `qevm receive` or `relay`, its folder, and where it listens. */
export interface Receiving {
  readonly folder: string;
  readonly uri: string;
  readonly child: ChildProcess;
  readonly ended: () => Promise<Ended>;
}

/** Starts it (`$DIR` is a new folder), waits until it listens, and ends it in any case. */
export async function receiving(
  args: readonly string[],
  use: (receiving: Receiving) => Promise<void>,
  uri = "tcp:127.0.0.1:0",
): Promise<void> {
  await listening(["receive", uri, ...args], use);
}

/** The same for any command that prints its listening address. */
export async function listening(args: readonly string[], use: (receiving: Receiving) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-listening-"));
  const full = args.map((arg) => arg.replace("$DIR", folder));
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

/** A connection to it. */
export async function dial(uri: string): Promise<Socket> {
  const port = Number(/\d+$/u.exec(uri)?.[0]);
  const socket = uri.startsWith("unix:") ? connect(uri.slice(5)) : connect(port, "127.0.0.1");
  socket.on("error", () => undefined);
  await new Promise<void>((resolve) => {
    socket.once("connect", resolve);
  });
  return socket;
}

/** Of ports below those that the system gives out by itself: so many for each process of a test run. */
const PORTS = 16;
let turn = 0;

/**
 * A free port of 127.0.0.1, which no other chapter gets meanwhile: one that the system gives may be given to another
 * before it is listened on, which then migrates into the wrong QEMU.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 10_000 + (process.pid % 1400) * PORTS + (turn++ % PORTS);
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true));
    });
    if (!free) continue;
    await new Promise((resolve) => {
      server.close(resolve);
    });
    return port;
  }
}

/** A stream whose source asks for a return path before its first section, and sends PING 1 so many times. */
export function asking(stream: Buffer, pings = 1): Buffer {
  const start = stream.indexOf(Buffer.from("\x03ram\0\0\0\0\0\0\0\x04", "latin1")) - 5;
  const commands = Buffer.concat([
    Buffer.from("0800010000", "hex"),
    Buffer.alloc(9 * pings, Buffer.from("080002000400000001", "hex")),
  ]);
  return Buffer.concat([stream.subarray(0, start), commands, stream.subarray(start)]);
}
