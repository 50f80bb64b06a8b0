/**
 * Our side of a load, in a process of its own, so that its environment can be chosen: with `GLIBC_TUNABLES`, memory
 * comes in huge pages (spec/41-load.md). It stays for all rounds of a row.
 *
 * As a program: for each line of standard input, `FILE` or `unix:PATH`, one load, and its time as JSON.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { argv, cpuUsage, execPath, env, stdin, stdout } from "node:process";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { FileSource } from "../../src/io/transport/file.js";
import { FlatMemory, loadStream } from "../../src/rewrite/load/index.js";
import type { Side } from "./pair.js";
import { HUGE_PAGES } from "../environment.mjs";
import { makeResident } from "./resident.js";

const SELF = fileURLToPath(import.meta.url);

/** One load, in seconds. */
interface Took {
  readonly time: number;
  /** Of the processor. */
  readonly cpu: number;
}

/** Whether memory comes in huge pages, and what its rows are called after their name. */
export const MEMORIES = [
  { huge: true, suffix: " huge" },
  { huge: false, suffix: "" },
] as const;

/** A process that loads. */
export class Loader {
  /** Processor time of each round, in seconds. */
  readonly spent: number[] = [];
  private readonly child: ChildProcess;
  private readonly lines: Interface;

  constructor(huge: boolean) {
    const environment = { ...env, ...(huge ? HUGE_PAGES : { GLIBC_TUNABLES: "" }) };
    const child = spawn(execPath, ["--expose-gc", SELF], { stdio: ["pipe", "pipe", "inherit"], env: environment });
    this.child = child;
    this.lines = createInterface({ input: child.stdout });
  }

  /**
   * A side that loads from a file, or from the sockets that come to a path of `unix:`, in pages a second. `begin` is
   * called when it listens.
   */
  side(uri: string, pages: number, begin?: () => void): Side {
    return {
      before: () => makeResident(2 * 2 ** 30),
      measure: async () => {
        this.child.stdin?.write(`${uri}\n`);
        if (begin !== undefined) {
          await this.line();
          begin();
        }
        const { time, cpu } = JSON.parse(await this.line()) as Took;
        this.spent.push(cpu);
        return pages / time;
      },
    };
  }

  close(): void {
    this.child.kill();
  }

  private async line(): Promise<string> {
    const ended = once(this.child, "exit").then(() => {
      throw new Error("the process that loads has ended");
    });
    ended.catch(() => undefined);
    const [line] = (await Promise.race([once(this.lines, "line"), ended])) as [string];
    return line;
  }
}

/** Connections of a load: the main channel and two others. */
const CONNECTIONS = 3;

/** Loads, and returns what it took from the first connection on. */
async function load(uri: string): Promise<Took> {
  if (!uri.startsWith("unix:")) {
    const source = FileSource.open(uri);
    const took = await timed(async () => await loadStream(source, new FlatMemory(), { decompressThreads: 2 }));
    source.close();
    return took;
  }
  const path = uri.slice("unix:".length);
  rmSync(path, { force: true });
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket));
  await once(server.listen(path), "listening");
  stdout.write("on\n");
  const took = await timed(async () => {
    while (sockets.length < CONNECTIONS) await once(server, "connection");
    await loadStream(sockets as AsyncIterable<Uint8Array>[], new FlatMemory());
  });
  for (const socket of sockets) socket.destroy();
  server.close();
  return took;
}

async function timed(work: () => Promise<unknown>): Promise<Took> {
  const before = cpuUsage();
  const start = performance.now();
  await work();
  const { user, system } = cpuUsage(before);
  return { time: (performance.now() - start) / 1000, cpu: (user + system) / 1e6 };
}

if (argv[1] === SELF) {
  for await (const uri of createInterface({ input: stdin })) {
    const took = await load(uri);
    // The memory of this round goes before the other side begins.
    globalThis.gc?.();
    stdout.write(`${JSON.stringify(took)}\n`);
  }
}
