import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { QevmError } from "../bytes/errors.js";
import type { ByteSource } from "../bytes/source.js";
import { StreamReader, type StreamOptions } from "../codec/stream/index.js";
import { deviceToPlain } from "../codec/vmstate/index.js";
import { openInput } from "../io/container/input.js";
import { openOutput } from "../io/transport/output.js";
import { systemFolder, temporaryFolder } from "../io/transport/temporary.js";
import { writeChanges } from "../rewrite/generate/changes.js";
import { SavedGuest, serveGdb, type MonitorTools } from "../serve/gdb/index.js";
import { inputOptions, parse, streamOptions, UsageError, type Arguments } from "./arguments.js";
import { refusals } from "./kept.js";
import { layoutIn, statedLayout, withMemory } from "./memory.js";
import { printResult } from "./document.js";
import { fileSize, printWarnings, safe, tell, tellSource } from "./output.js";

/** As QEMU's -s, for this machine only. */
const USUAL = "tcp:127.0.0.1:1234";

/** `qevm gdb FILE [--listen URI] [-- GDB ARGS...]`. */
export async function run(argv: string[]): Promise<number> {
  const at = argv.indexOf("--");
  const args = parse("gdb", at < 0 ? argv : argv.slice(0, at), [1, 1], "one FILE");
  const words = at < 0 ? undefined : argv.slice(at + 1);
  if (words !== undefined && args.text("listen") !== undefined)
    throw new UsageError("--listen goes without -- GDB ARGS");
  if (words !== undefined && args.list("allow").length > 0) throw new UsageError("--allow goes without -- GDB ARGS");
  if (words === undefined && args.text("gdb") !== undefined) throw new UsageError("--gdb goes with -- GDB ARGS");
  const program = words === undefined ? "" : (args.text("gdb") ?? installed());
  const parts = statedLayout(args);
  const [file] = args.positionals as [string];
  return await withMemory(args, file, true, async (opened) => {
    printWarnings(opened.pages.diagnostics.warnings);
    const guest = new SavedGuest(opened.pages, layoutIn(opened, parts));
    if (words !== undefined) return await withGdb(program, words, guest, toolsOf(args, file, true));
    const uri = args.text("listen") ?? USUAL;
    const tools = toolsOf(args, file, uri.startsWith("unix:") || args.flag("allow-save"));
    await serveGdb(uri, guest, tools, {
      once: args.flag("once"),
      allow: args.list("allow"),
      onRefused: refusals(),
      onListening: (listening) => {
        tellSource(listening);
        const target = listening.replace(/^(?:unix|tcp):/u, "");
        tell(`in gdb: target remote ${safe(target)}`);
        if (args.flag("json")) printResult({ uri: listening, target, cpuCount: guest.cpus.length });
      },
    });
    return 0;
  });
}

/** A gdb that knows every architecture, where there is one. */
function installed(): string {
  return spawnSync("gdb-multiarch", ["--version"]).error === undefined ? "gdb-multiarch" : "gdb";
}

function ignore(): void {
  // Nothing to do.
}

/** Runs gdb on a socket of its own, and returns its exit status. */
async function withGdb(
  program: string,
  words: readonly string[],
  guest: SavedGuest,
  tools: MonitorTools,
): Promise<number> {
  const folder = temporaryFolder(systemFolder(), "qevm-gdb");
  const path = join(folder.path, "gdb");
  const over = new AbortController();
  // Stays so where it cannot be started.
  let status = 2;
  try {
    await serveGdb(`unix:${path}`, guest, tools, {
      signal: over.signal,
      onListening: () => {
        // An interrupt is for gdb, which has the terminal.
        process.removeAllListeners("SIGINT").on("SIGINT", ignore);
        const child = spawn(program, ["-ex", `target remote ${path}`, ...words], { stdio: "inherit" });
        child.once("error", (error) => {
          tell(`${program}: ${error.message}`);
          over.abort();
        });
        child.once("close", (code) => {
          status = child.pid === undefined ? 2 : (code ?? 1);
          over.abort();
        });
      },
    });
  } finally {
    process.off("SIGINT", ignore);
    folder.remove();
  }
  return status;
}

function toolsOf(args: Arguments, file: string, maySave: boolean): MonitorTools {
  const again = async <T>(work: (source: ByteSource, reading: StreamOptions) => Promise<T>): Promise<T> => {
    if (file === "-") throw new QevmError("unsupported", "standard input cannot be read again");
    const reading = await streamOptions(args);
    const source = await openInput(file, inputOptions(args));
    try {
      return await work(source, reading);
    } finally {
      await source.close?.();
    }
  };
  const devices: MonitorTools["devices"] = async (name) =>
    await again(async (source, reading) => {
      const found: Awaited<ReturnType<MonitorTools["devices"]>> = [];
      for await (const item of new StreamReader(source, reading)) {
        if (item.kind !== "section" || item.content.kind !== "device") continue;
        const { idstr, instanceId: instance } = item;
        if (idstr !== name && `${idstr}/${instance}` !== name) continue;
        found.push({ name: idstr, instance, device: deviceToPlain(item.content.state) });
      }
      return found;
    });
  const save: MonitorTools["save"] = async (path, changes) =>
    await again(async (source, reading) => {
      if (existsSync(path)) throw new QevmError("usage", `${path} exists; nothing is replaced`);
      const out = openOutput(path);
      try {
        const { bytes } = await writeChanges(source, out, changes, reading);
        await out.end?.();
        out.commit();
        return `${path}: ${fileSize(bytes)} written`;
      } finally {
        out.abort();
      }
    });
  return { devices, save: maySave ? save : undefined };
}
