import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../bytes/errors.js";
import { systemFolder, temporaryFolder, writeNewFile } from "../../io/transport/temporary.js";
import { PausedQemu } from "../../io/transport/paused-qemu.js";
import { textOf, type QmpClient } from "../../io/transport/qmp.js";

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
const FINAL = new Set(["completed", "failed", "cancelled"]);

/**
 * Gives a stream to a new destination and returns what became of it. The destination has ended when this returns.
 * Errors: io, usage.
 */
export async function tryQemu(bytes: Uint8Array, options: QemuCaseOptions): Promise<QemuOutcome> {
  const fd = unnamedFile(bytes);
  const qemu = new PausedQemu(options.command, ["-incoming", "defer"], fd);
  closeSync(fd);
  try {
    const seen = await drive(qemu, options);
    const stays = { signal: null, code: null, text: qemu.text };
    if (seen === "loaded" || seen === "hung") return { outcome: seen, ...stays };
    // Refused or lost: the program is on its way out.
    const exit = await Promise.race([qemu.ended, sleep(5000, undefined, { ref: false })]);
    if (exit?.missing !== undefined) throw new QevmError("io", `${options.command[0] ?? ""}: ${exit.missing}`);
    if (exit === undefined) return { outcome: seen === "failed" ? "refused" : "hung", ...stays };
    const { code, signal } = exit;
    const { text } = qemu;
    if (signal !== null) return { outcome: "killed", signal, code, text };
    if (seen === "unstarted") return { outcome: "unstarted", signal, code, text };
    return { outcome: code === 0 ? "exited" : "refused", signal, code, text };
  } finally {
    await qemu.stop();
  }
}

/** Start, capabilities, stream, and the end of the load. */
async function drive(
  qemu: PausedQemu,
  options: QemuCaseOptions,
): Promise<"loaded" | "hung" | "failed" | "gone" | "unstarted"> {
  let qmp: QmpClient;
  try {
    qmp = await qemu.monitor(START);
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
