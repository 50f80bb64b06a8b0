/**
 * Loads a stream in a real QEMU: starts it with `-incoming defer`, sets the capabilities over QMP, sends the stream,
 * and reads back its messages and its state.
 */
import { copyFileSync, existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { QemuBinary } from "../qemu/find.js";
import { makeWorkFolder, OPENED, QemuProcess } from "../qemu/process.js";
import { type JsonObject, textOf } from "../../src/io/transport/qmp.js";

/** What to load, and where. */
export interface DestinationOptions {
  readonly qemu: QemuBinary;
  /** Arguments after the common ones; `$DIR` is the destination's working folder. `-incoming` is added. */
  readonly args: readonly string[];
  readonly capabilities?: readonly string[];
  readonly parameters?: JsonObject;
  /**
   * The stream: bytes, the path of a file, or a migration URI (`exec:cat FILE`, `unix:PATH`, `tcp:...`) that is passed
   * unchanged except for `$DIR`. Bytes and files are copied into the working folder, so that a QEMU in a chroot can
   * read them.
   */
  readonly stream: Uint8Array | string;
  /**
   * How bytes and files are passed: as they come in order (default), or as a file that QEMU opens (8.2 and later). In
   * order means through `exec:cat FILE`, or as an open file where QEMU does not say that this is deprecated (9.1 and
   * later do): a fork of QEMU, a shell and `cat` are a quarter of the processor time of a load.
   */
  readonly from?: "exec" | "file";
  /** Files to create in the working folder first, by name. */
  readonly files?: Readonly<Record<string, Uint8Array>>;
  /** QMP commands before the load, e.g. the source's device_add. */
  readonly before?: readonly { readonly execute: string; readonly arguments?: JsonObject }[];
  /** Time limit of the load in milliseconds; default 30 000. */
  readonly timeout?: number;
  /** Default: the guest stays stopped (`-S`). True: it gets the source's run state. */
  readonly autostart?: boolean;
  /** Called when the destination is listening, for `unix:` and `tcp:` streams that the test sends. */
  readonly onListening?: (vm: QemuProcess) => Promise<void>;
}

/** The result of a load. */
export interface LoadResult {
  /** The stream was loaded and the machine is ready. */
  readonly loaded: boolean;
  /** Status of the migration: "completed", "failed", "exited" (QEMU has exited), "timeout". */
  readonly status: string;
  /** QEMU's error text, by line; empty when there is none. */
  readonly error: string;
  /** Exit code, if QEMU exited. */
  readonly code: number | null;
  /** Signal that ended QEMU, e.g. "SIGABRT" for an assertion. */
  readonly signal: string | null;
}

/** A destination after its load. Always `close()` the process. */
export interface Destination {
  readonly vm: QemuProcess;
  readonly result: LoadResult;
}

/** Starts a destination, loads the stream, and waits for the result. */
export async function startDestination(options: DestinationOptions): Promise<Destination> {
  const { qemu, args, stream, timeout = 30_000 } = options;
  const folder = makeWorkFolder(qemu);
  for (const [name, bytes] of Object.entries(options.files ?? {})) writeFileSync(join(folder, name), bytes);
  const uri = placeStream(stream, folder, options.from ?? (/^[5-8]\./u.test(qemu.version) ? "opened" : "exec"));
  const stopped = args.includes("-S") || options.autostart === true ? [] : ["-S"];
  const opened = uri === URIS.opened ? join(folder, "incoming") : undefined;
  const vm = await QemuProcess.start(qemu, [...args, ...stopped, "-incoming", "defer"], folder, opened);
  try {
    for (const step of options.before ?? []) await vm.execute(step.execute, step.arguments);
    const capabilities = ["events", ...(options.capabilities ?? [])].map((capability) => ({ capability, state: true }));
    await vm.execute("migrate-set-capabilities", { capabilities });
    if (options.parameters !== undefined) await vm.execute("migrate-set-parameters", options.parameters);
    const refused = await start(vm, uri);
    if (refused !== undefined) return { vm, result: refused };
    await options.onListening?.(vm);
    return { vm, result: await outcome(vm, timeout) };
  } catch (error) {
    await vm.close();
    throw error;
  }
}

/** Runs a loaded guest for `milliseconds`, then stops it again. */
export async function runGuest(vm: QemuProcess, milliseconds: number): Promise<void> {
  await vm.execute("cont");
  await sleep(milliseconds);
  await vm.execute("stop");
}

/** How QEMU is told where the stream is that was placed in its folder. */
const URIS = { exec: "exec:cat $DIR/incoming", file: "file:$DIR/incoming", opened: `fd:${OPENED}` } as const;

function placeStream(stream: Uint8Array | string, folder: string, from: keyof typeof URIS): string {
  if (typeof stream !== "string") writeFileSync(join(folder, "incoming"), stream);
  else if (existsSync(stream)) copyFileSync(stream, join(folder, "incoming"));
  else return stream;
  return URIS[from];
}

async function start(vm: QemuProcess, uri: string): Promise<LoadResult | undefined> {
  try {
    await vm.execute("migrate-incoming", { uri });
    return undefined;
  } catch (error) {
    if (vm.exit !== undefined || vm.qmp.closed) return undefined;
    return {
      loaded: false,
      status: "failed",
      error: [String(error), vm.stderr.trim()].join("\n").trim(),
      code: null,
      signal: null,
    };
  }
}

async function outcome(vm: QemuProcess, timeout: number): Promise<LoadResult> {
  const final = new Set(["completed", "failed", "cancelled"]);
  await vm.qmp.waitEvent("MIGRATION", timeout, (data) => final.has(textOf(data["status"])));
  const seen = vm.qmp.events.findLast(({ event, data }) => event === "MIGRATION" && final.has(textOf(data["status"])));
  const status = seen === undefined ? "timeout" : textOf(seen.data["status"]);
  // A refused stream ends QEMU; an accepted one leaves it running. Gives an exiting one the time to print its error.
  if (status !== "completed") await vm.waitExit(status === "failed" || vm.qmp.closed ? 3000 : 0);
  const exit = vm.exit;
  const description = status === "failed" && exit === undefined ? await errorText(vm) : "";
  const error = [description, vm.stderr.trim()].filter((text) => text !== "").join("\n");
  const gone = exit !== undefined && status !== "failed";
  const code = exit?.code ?? null;
  return {
    loaded: status === "completed" && exit === undefined,
    status: gone ? "exited" : status,
    error,
    code,
    signal: exit?.signal ?? null,
  };
}

async function errorText(vm: QemuProcess): Promise<string> {
  const info = (await vm.execute("query-migrate").catch(() => ({}))) as JsonObject;
  return textOf(info["error-desc"]);
}
