/**
 * The error texts of each QEMU for each broken stream. As a program it writes those of the installed versions to
 * spec/21-destination.refusals.json, and keeps the entries of other versions.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { fileURLToPath } from "node:url";
import { corpusEntry, projectRoot } from "../corpus.js";
import { findQemus, type QemuBinary } from "../qemu/find.js";
import { type Breakage, breakages } from "./breakages.js";
import { type LoadResult, startDestination } from "./destination.js";

/** Per breakage and version of QEMU: its lines of error text, empty when the stream was accepted. */
export type Refusals = Record<string, Record<string, readonly string[]>>;

/** The recorded error texts. */
export function readRefusals(): Refusals {
  return JSON.parse(readFileSync(page(), "utf8")) as Refusals;
}

/** Whether a version can be tested: it must have the capabilities that a breakage needs. */
export function applies(breakage: Breakage, qemu: QemuBinary): boolean {
  return breakage.capabilities?.includes("compress") !== true || Number(qemu.version) < 9.1;
}

/** Breaks a small stream and loads it in a real destination. */
export async function refuse(breakage: Breakage, qemu: QemuBinary): Promise<LoadResult> {
  const recent = Number(qemu.version) >= 9;
  const source = corpusEntry(recent ? "v10.0-none" : "machine-none-tiny");
  const { vm, result } = await startDestination({
    qemu,
    args: source.capture.command.slice(source.capture.command.indexOf("-machine")),
    capabilities: breakage.capabilities ?? [],
    stream: breakage.apply(source.open()),
    timeout: 10_000,
  });
  await vm.close();
  return result;
}

/** Error text as lines, without the program's name. */
export function linesOf(error: string): string[] {
  return error
    .split("\n")
    .map((line) => line.replace(/^qemu-system-x86_64: /u, "").trim())
    .filter((line) => line !== "");
}

const page = (): string => join(projectRoot(), "spec", "21-destination.refusals.json");

async function record(): Promise<void> {
  const words = readRefusals();
  for (const breakage of breakages) {
    const row = { ...words[breakage.name] };
    for (const qemu of findQemus().filter((item) => applies(breakage, item))) {
      row[qemu.version] = linesOf((await refuse(breakage, qemu)).error);
    }
    words[breakage.name] = row;
    console.log(`${breakage.name}: ${JSON.stringify(row)}`);
  }
  writeFileSync(page(), `${JSON.stringify(words, undefined, 2)}\n`);
}

if (argv[1] === fileURLToPath(import.meta.url)) await record();
