import { spawn, type ChildProcess } from "node:child_process";
import { QevmError } from "../../bytes/errors.js";
import { QmpClient } from "./qmp.js";

/** Options that are added to the command of a QEMU that is started to be asked. */
const ADDED = ["-display", "none", "-S", "-qmp", "stdio"];
/** Characters of its standard error that are kept. */
const KEPT = 4096;

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/** How a process ended. */
export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not be started. */
  readonly missing?: string;
}

/** A QEMU that was started stopped (`-S`), with its monitor on its standard streams. It ends with this process. */
export class PausedQemu {
  /** Resolves when it has ended; never rejects. */
  readonly ended: Promise<Ended>;
  /** The beginning of what it wrote to its standard error, at most 4,096 characters. */
  text = "";
  private readonly child: ChildProcess;

  /**
   * @param command program and arguments; `-display none -S -qmp stdio` are added
   * @param more further arguments
   * @param fd a descriptor that it gets as its number 3
   */
  constructor(command: readonly string[], more: readonly string[] = [], fd?: number) {
    const [file = "", ...args] = command;
    const stdio = ["pipe", "pipe", "pipe", ...(fd === undefined ? [] : [fd])] as const;
    const child = spawn(file, [...args, ...ADDED, ...more], { stdio: [...stdio] });
    this.child = child;
    running.add(child);
    child.stderr!.setEncoding("utf8").on("data", (part: string) => {
      if (this.text.length < KEPT) this.text += part.slice(0, KEPT - this.text.length);
    });
    this.ended = new Promise((resolve) => {
      child.once("error", (error) => resolve({ code: null, signal: null, missing: error.message }));
      child.once("close", (code, signal) => resolve({ code, signal }));
    });
  }

  /** Its monitor. Errors: io, where it does not answer within `seconds`. */
  async monitor(seconds: number): Promise<QmpClient> {
    const { stdout, stdin } = this.child;
    if (stdout === null || stdin === null) throw new QevmError("io", "QEMU was started without its monitor");
    return await QmpClient.over(stdout, stdin, seconds * 1000);
  }

  /** Ends it, and waits until it has ended. */
  async stop(): Promise<void> {
    this.child.kill("SIGKILL");
    await this.ended;
    running.delete(this.child);
  }
}
