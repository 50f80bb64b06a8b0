/** Streams whose processing takes minutes, and programs that are interrupted meanwhile. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { MemorySink } from "../../src/bytes/index.js";
import { createStreamWriter } from "../../src/codec/stream/index.js";
import { PROGRAM } from "./program.js";

/** A short stream of one block of so many bytes, with one page. */
export async function mostlyHole(usedLength: number): Promise<Uint8Array> {
  const sink = new MemorySink();
  const writer = createStreamWriter(sink, { machine: "pc-i440fx-11.1" });
  const [block] = writer.ram.blocks([{ idstr: "pc.ram", usedLength }]);
  await writer.ram.page(block!, 4096, new Uint8Array(4096).fill(7));
  writer.ram.end();
  await writer.finish("none");
  return sink.bytes();
}

/**
 * Runs `qevm ARGS` in a folder, and sends SIGTERM a second after its unfinished output exists. Returns how it ended,
 * and what it left; it is killed if it does not end within 15 s.
 * @param input the beginning of its standard input, which stays open
 */
export async function stopped(
  args: readonly string[],
  folder: string,
  input?: Uint8Array,
): Promise<{ code: number | null; signal: NodeJS.Signals | null; left: string[] }> {
  const child = spawn(process.execPath, [PROGRAM, ...args], {
    stdio: [input === undefined ? "ignore" : "pipe", "ignore", "inherit"],
    cwd: folder,
  });
  child.stdin?.on("error", () => undefined).write(input!);
  const ended = once(child, "exit") as Promise<[number | null, NodeJS.Signals | null]>;
  const unfinished = (): string[] => readdirSync(folder).filter((name) => name.startsWith("."));
  while (unfinished().length === 0 && child.exitCode === null) await sleep(20);
  await sleep(1000);
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), 15_000);
  const [code, signal] = await ended;
  clearTimeout(timer);
  return { code, signal, left: unfinished() };
}
