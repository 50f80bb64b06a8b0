import { spawn, type ChildProcess } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../bytes/errors.js";
import { systemFolder, temporaryFolder, writeNewFile } from "../../io/transport/temporary.js";
import { QmpClient, textOf } from "../../io/transport/qmp.js";

/** How a destination took a stream. */
export interface QemuOutcome {
  /**
   * `exited`: it ended with code 0 and without having loaded; `unstarted`: it ended before it could take a stream.
   */
  readonly outcome: "loaded" | "refused" | "hung" | "killed" | "exited" | "unstarted";
  /** The signal that ended it, for example "SIGABRT". */
  readonly signal: string | null;
  /** Exit code; null while it ran or when a signal ended it. */
  readonly code: number | null;
  /** What it wrote to its standard error, at most 4,096 characters. */
  readonly text: string;
}

/** Which QEMU a case is tried on, and how. */
export interface QemuCaseOptions {
  /**
   * Program and arguments of the destination, as of a source. `-display none -S -qmp stdio -incoming defer` are added.
   */
  readonly command: readonly string[];
  /** Capabilities set before the load, for example `compress`. */
  readonly capabilities?: readonly string[] | undefined;
  /** Seconds for the load. Default 10. */
  readonly seconds?: number | undefined;
}

/** Seconds that a destination may take to start. */
const START = 30;
const ADDED = ["-display", "none", "-S", "-qmp", "stdio", "-incoming", "defer"];
const FINAL = new Set(["completed", "failed", "cancelled"]);

const running = new Set<ChildProcess>();
process.once("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/**
 * Gives a stream to a new destination and returns what became of it. The destination has ended when this returns.
 * Errors: io, usage.
 */
export async function tryQemu(bytes: Uint8Array, options: QemuCaseOptions): Promise<QemuOutcome> {
  const fd = unnamedFile(bytes);
  const [file = "", ...args] = options.command;
  const child = spawn(file, [...args, ...ADDED], { stdio: ["pipe", "pipe", "pipe", fd] });
  closeSync(fd);
  running.add(child);
  let text = "";
  child.stderr!.setEncoding("utf8").on("data", (more: string) => {
    if (text.length < 4096) text += more.slice(0, 4096 - text.length);
  });
  const ended = new Promise<{ code: number | null; signal: string | null; missing?: string }>((resolve) => {
    child.once("error", (error) => resolve({ code: null, signal: null, missing: error.message }));
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  try {
    const seen = await drive(child, options);
    if (seen === "loaded" || seen === "hung") return { outcome: seen, signal: null, code: null, text };
    // Refused or lost: the program is on its way out.
    const exit = await Promise.race([ended, sleep(5000, undefined, { ref: false })]);
    if (exit?.missing !== undefined) throw new QevmError("io", `${file}: ${exit.missing}`);
    if (exit === undefined) return { outcome: seen === "failed" ? "refused" : "hung", signal: null, code: null, text };
    const { code, signal } = exit;
    if (signal !== null) return { outcome: "killed", signal, code, text };
    if (seen === "unstarted") return { outcome: "unstarted", signal, code, text };
    return { outcome: code === 0 ? "exited" : "refused", signal, code, text };
  } finally {
    child.kill("SIGKILL");
    await ended;
    running.delete(child);
  }
}

/** Start, capabilities, stream, and the end of the load. */
async function drive(
  child: ChildProcess,
  options: QemuCaseOptions,
): Promise<"loaded" | "hung" | "failed" | "gone" | "unstarted"> {
  let qmp: QmpClient;
  try {
    qmp = await QmpClient.over(child.stdout!, child.stdin!, START * 1000);
    const capabilities = ["events", ...(options.capabilities ?? [])].map((capability) => ({ capability, state: true }));
    await qmp.execute("migrate-set-capabilities", { capabilities });
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    return "unstarted";
  }
  try {
    await qmp.execute("migrate-incoming", { uri: "fd:3" });
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    return qmp.closed ? "gone" : "failed";
  }
  const event = await qmp.waitEvent("MIGRATION", (options.seconds ?? 10) * 1000, (data) =>
    FINAL.has(textOf(data["status"])),
  );
  if (event === undefined) return qmp.closed ? "gone" : "hung";
  return textOf(event.data["status"]) === "completed" ? "loaded" : "failed";
}

/** A descriptor of a file that holds `bytes` and has no name any more: no file remains, and chroots do not matter. */
function unnamedFile(bytes: Uint8Array): number {
  const folder = temporaryFolder(systemFolder(), "qevm-fuzz");
  try {
    const path = join(folder.path, "case");
    writeNewFile(path, bytes);
    return openSync(path, "r");
  } finally {
    folder.remove();
  }
}
