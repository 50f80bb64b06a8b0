/** Runs the built program as a process for the chapters, and returns its output and exit status. */
import { fork, spawn, type ChildProcess } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import test from "tape";
import { COMMANDS } from "../../src/cli/help.js";
import { HUGE_PAGES } from "../../tools/environment.mjs";
import { checkDocuments } from "./schemas.js";
import type { Done, Job } from "./warm.js";

/** The program beside this specification: instrumented when coverage is measured. */
export const PROGRAM = fileURLToPath(new URL("../../bin/qevm.cjs", import.meta.url));
/** The program as it is shipped, for any build of this specification: for time and memory. */
export const PLAIN_PROGRAM = fileURLToPath(new URL("../../../dist/bin/qevm.cjs", import.meta.url));

const WARM = fileURLToPath(new URL("./warm.js", import.meta.url));

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  seconds: number;
  /** Maximum memory in bytes; only with `plain`. */
  maxRss: number;
}

export interface RunOptions {
  stdin?: Readable | Uint8Array;
  /** Runs the build as it is shipped, without instruments, and measures its memory. */
  plain?: boolean;
  /** Starts the program itself, also where a process that has run commands before could run this one. */
  fresh?: boolean;
  /** Milliseconds after which it is killed. */
  timeout?: number;
  cwd?: string;
  /** Variables beside those of this process. */
  env?: Readonly<Record<string, string>>;
  /** A module's address that is loaded before the program. */
  hook?: string;
}

/**
 * Runs `qevm ARGS` to its end: in a process that has run other commands before (see `warm.ts`), where nothing asks for
 * more than the command's output and status.
 */
export async function qevm(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const ended = await runs(args, options);
  if (ended.signal === null) checkDocuments(args, ended.stdout);
  return ended;
}

async function runs(args: readonly string[], options: RunOptions): Promise<Ended> {
  const { stdin, plain, fresh, timeout } = options;
  const special = plain === true || fresh === true || stdin !== undefined || timeout !== undefined;
  const command = Object.hasOwn(COMMANDS, args[0] ?? "") && !args.includes("--help") && !args.includes("-h");
  if (command && !special) {
    const ended = await inWarm(args, options);
    if (ended !== undefined) return ended;
  }
  return await started(args, options);
}

/** Processes that wait for a command, by what was loaded before. */
const idle = new Map<string, ChildProcess[]>();
test.onFinish(() => {
  for (const child of [...idle.values()].flat()) child.disconnect();
});

/**
 * `qevm ARGS` in a process that waits for a command; `undefined` where it threw or exited. `modules`: not the bundled
 * program but the modules that it is made of.
 */
export async function inWarm(
  args: readonly string[],
  { cwd = process.cwd(), env = {}, hook = "" }: Pick<RunOptions, "cwd" | "env" | "hook">,
  modules = false,
): Promise<Ended | undefined> {
  const start = performance.now();
  const waiting = idle.get(hook) ?? [];
  idle.set(hook, waiting);
  const execArgv = hook === "" ? process.execArgv : [...process.execArgv, "--import", hook];
  const child = waiting.pop() ?? fork(WARM, { serialization: "advanced", stdio: ["ignore", 2, 2, "ipc"], execArgv });
  const job: Job = { modules, args: [...args], cwd, env: { ...process.env, ...env } };
  const done = await new Promise<Done | undefined>((resolve) => {
    const end = (): void => resolve(undefined);
    child.once("exit", end);
    child.once("message", (message: Done) => {
      child.off("exit", end);
      resolve(message);
    });
    child.send(job);
  });
  if (done === undefined) return undefined;
  waiting.push(child);
  if (done.code === undefined) return undefined;
  const seconds = (performance.now() - start) / 1000;
  const [stdout, stderr] = [done.stdout, done.stderr].map((bytes) => Buffer.from(bytes).toString("utf8"));
  return { code: done.code, signal: null, stdout: stdout!, stderr: stderr!, seconds, maxRss: Number.NaN };
}

async function started(args: readonly string[], options: RunOptions): Promise<Ended> {
  const plain = options.plain === true;
  const start = performance.now();
  const hooks = options.hook === undefined ? [] : ["--import", options.hook];
  const [command, ...words] = plain ? plainCommand(RSS_HOOK) : [process.execPath, ...hooks, PROGRAM];
  const child = spawn(command, [...words, ...args], {
    stdio: "pipe",
    env: { ...(plain ? plainEnvironment() : process.env), ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    timeout: options.timeout ?? 120_000,
  });
  // A program that refuses its input early closes the pipe; its result is what counts.
  child.stdin.on("error", () => undefined);
  const { stdin } = options;
  if (stdin === undefined) child.stdin.end();
  else if (stdin instanceof Uint8Array) child.stdin.end(stdin);
  else child.stdin.on("close", () => stdin.destroy());
  if (stdin !== undefined && !(stdin instanceof Uint8Array)) stdin.pipe(child.stdin);
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (...end) => resolve(end));
    }),
  ]);
  const rss = RSS_LINE.exec(stderr)?.[1];
  return {
    code,
    signal,
    stdout,
    stderr: stderr.replace(RSS_LINE, ""),
    seconds: (performance.now() - start) / 1000,
    maxRss: Number(rss ?? Number.NaN) * 1024,
  };
}

/** The environment without what the test run adds: coverage and huge pages would count as the program's memory. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const added = new Set(["NODE_OPTIONS", "QEVM_COVERAGE", ...Object.keys(HUGE_PAGES)]);
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !added.has(name)));
}

/** A command that starts the shipped program with a preloaded module. */
function plainCommand(module: string): [string, ...string[]] {
  return [process.execPath, "--import", module, PLAIN_PROGRAM];
}

const RSS_LINE = /qevm-max-rss=(\d+)\n/u;
// Linux's maxRSS includes the parent's memory at the fork, and VmHWM the mapped part of Node's binary, which depends on
// the page cache. The program's own memory is the rest of VmHWM.
const RSS_HOOK = `data:text/javascript,${encodeURIComponent(`
import { existsSync, readFileSync, writeSync } from "node:fs";
const path = "/proc/self/status";
function own() {
  if (!existsSync(path)) return process.resourceUsage().maxRSS;
  const status = readFileSync(path, "latin1");
  const [most, mapped] = ["VmHWM", "RssFile"].map((name) => Number(new RegExp(name + ":\\\\s+(\\\\d+)").exec(status)[1]));
  return most - mapped;
}
process.on("exit", () => writeSync(2, "qevm-max-rss=" + own() + "\\n"));
`)}`;

async function text(stream: Readable): Promise<string> {
  let all = "";
  stream.setEncoding("utf8");
  for await (const chunk of stream) all += String(chunk);
  return all;
}
