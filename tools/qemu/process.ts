/**
 * One running QEMU with a working folder, a QMP monitor and its error text, which is always terminated in the end.
 * Arguments and QMP steps refer to the working folder as `$DIR`, so that recordings contain no local paths.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../src/bytes/errors.js";
import { innerPath, type QemuBinary, workRoot } from "./find.js";
import { type Json, type JsonObject, QmpClient } from "../../src/io/transport/qmp.js";

/** How a program ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Common arguments of every QEMU started here: no window, no network, software CPU, nothing on stdio. Arguments with a
 * serial port of their own replace `-serial none`, which would be the first port.
 */
export const commonArguments: readonly string[] =
  "-accel tcg -display none -serial none -parallel none -monitor none -qmp unix:$DIR/qmp.sock,server=on,wait=off".split(
    " ",
  );

/** util-linux: the kernel ends QEMU when this program is killed and cannot run its handlers. */
const dieWithParent = existsSync("/usr/bin/setpriv") ? ["/usr/bin/setpriv", "--pdeathsig", "KILL", "--"] : [];

/** The descriptor under which QEMU finds a file that was opened for it. */
export const OPENED = 3;

const running = new Set<QemuProcess>();

/** How long the first command may take at each start, in milliseconds. */
const silences: readonly number[] = [15_000, 30_000, 30_000];

process.once("exit", () => {
  for (const qemu of running) qemu.killNow();
});

/** Creates a working folder that a binary can access. */
export function makeWorkFolder(qemu: QemuBinary): string {
  return mkdtempSync(join(workRoot(qemu), "qevm-"));
}

/** A started QEMU. Always `close()` it, in a `finally`. */
export class QemuProcess {
  readonly qemu: QemuBinary;
  /** The working folder in the host's view. */
  readonly folder: string;
  readonly child: ChildProcess;
  readonly qmp: QmpClient;
  readonly #state: Watched;

  private constructor(qemu: QemuBinary, folder: string, child: ChildProcess, state: Watched, qmp: QmpClient) {
    this.qemu = qemu;
    this.folder = folder;
    this.child = child;
    this.#state = state;
    this.qmp = qmp;
    running.add(this);
  }

  /**
   * Starts QEMU and connects to its monitor. `args` may use `$DIR`. Without `folder` one is created; {@link close}
   * removes it either way. Rejects with QEMU's error text when it exits first.
   *
   * QEMU 7.2 greets, but about once in 2000 starts it never replies to a command; some of these reply on a new
   * connection, some do not. So a QEMU that is silent is ended and started again, twice at most.
   * @param open path of a file that QEMU gets opened for reading, as descriptor {@link OPENED}
   */
  static async start(
    qemu: QemuBinary,
    args: readonly string[],
    folder = makeWorkFolder(qemu),
    open?: string,
  ): Promise<QemuProcess> {
    try {
      for (const timeout of silences) {
        const started = await QemuProcess.#attempt(qemu, args, folder, timeout, open);
        if (started !== undefined) return started;
      }
      throw new QevmError("io", `QEMU's monitor greets and does not reply, ${silences.length} times`);
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Undefined when the monitor is silent for `timeout` milliseconds. */
  static async #attempt(
    qemu: QemuBinary,
    args: readonly string[],
    folder: string,
    timeout: number,
    open: string | undefined,
  ): Promise<QemuProcess | undefined> {
    const inner = innerPath(qemu, folder);
    const [file = "", ...lead] = [...dieWithParent, ...qemu.command];
    const common = commonArguments
      .join(" ")
      .replace(args.includes("-serial") ? "-serial none " : "", "")
      .split(" ");
    const full = [...lead, ...common, ...args].map((text) => text.replaceAll("$DIR", inner));
    const opened = open === undefined ? [] : [openSync(open, "r")];
    const child = spawn(file, full, { stdio: ["ignore", "ignore", "pipe", ...opened] });
    for (const descriptor of opened) closeSync(descriptor);
    const state = watch(child);
    const kill = (): boolean => child.kill("SIGKILL");
    process.once("exit", kill);
    try {
      const qmp = await connect(join(folder, "qmp.sock"), state, timeout);
      return new QemuProcess(qemu, folder, child, state, qmp);
    } catch (error) {
      const silent = state.exit === undefined && /: no reply in/u.test(String(error));
      kill();
      await state.ended;
      if (!silent) throw error;
      rmSync(join(folder, "qmp.sock"), { force: true });
      return undefined;
    } finally {
      process.removeListener("exit", kill);
    }
  }

  /** QEMU's stderr so far, without the path of its working folder. */
  get stderr(): string {
    return this.#state.text.replaceAll(innerPath(this.qemu, this.folder), "$DIR");
  }

  /** How it ended, or undefined while it runs. */
  get exit(): Exit | undefined {
    return this.#state.exit;
  }

  /** A file in the working folder, in the host's view. */
  file(name: string): string {
    return join(this.folder, name);
  }

  /** Runs a QMP command; strings in the arguments may use `$DIR`. */
  async execute(command: string, args: JsonObject = {}, timeout?: number): Promise<Json> {
    return await this.qmp.execute(command, this.#expand(args) as JsonObject, timeout);
  }

  /** Runs a human monitor command. */
  async human(commandLine: string, timeout?: number): Promise<string> {
    return await this.qmp.human(commandLine.replaceAll("$DIR", innerPath(this.qemu, this.folder)), timeout);
  }

  /** Waits until the program has exited, for at most `timeout` milliseconds. */
  async waitExit(timeout: number): Promise<Exit | undefined> {
    await Promise.race([this.#state.ended, sleep(timeout, undefined, { ref: false })]);
    return this.#state.exit;
  }

  /** Kills QEMU and removes the working folder. */
  async close(): Promise<void> {
    this.qmp.close();
    this.killNow();
    await this.#state.ended;
    running.delete(this);
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Kills without waiting; for exit handlers. */
  killNow(): void {
    if (this.#state.exit === undefined) this.child.kill("SIGKILL");
  }

  #expand(value: Json): Json {
    if (typeof value === "string") return value.replaceAll("$DIR", innerPath(this.qemu, this.folder));
    if (Array.isArray(value)) return value.map((item: Json) => this.#expand(item));
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, this.#expand(item)]));
  }
}

interface Watched {
  text: string;
  exit: Exit | undefined;
  ended: Promise<void>;
}

function watch(child: ChildProcess): Watched {
  const state: Watched = { text: "", exit: undefined, ended: Promise.resolve() };
  child.stderr?.setEncoding("utf8");
  child.stderr?.on("data", (text: string) => {
    if (state.text.length < 65_536) state.text += text;
  });
  state.ended = new Promise((resolve) => {
    child.once("error", (error) => {
      state.text += error.message;
      state.exit = { code: null, signal: null };
      resolve();
    });
    child.once("close", (code, signal) => {
      state.exit = { code, signal };
      resolve();
    });
  });
  return state;
}

async function connect(path: string, state: Watched, timeout: number): Promise<QmpClient> {
  const until = Date.now() + 30_000;
  while (state.exit === undefined && Date.now() < until) {
    if (existsSync(path)) {
      try {
        return await QmpClient.connect(path, timeout);
      } catch (error) {
        await Promise.race([state.ended, sleep(500, undefined, { ref: false })]);
        if (state.exit === undefined && !/ECONNREFUSED/u.test(String(error))) throw error;
      }
    }
    await sleep(20);
  }
  const how = state.exit?.signal === undefined || state.exit.signal === null ? "" : ` (${state.exit.signal})`;
  throw new QevmError("io", `QEMU did not start${how}: ${state.text.trim() || "no monitor in 30 s"}`);
}
