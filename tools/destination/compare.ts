/** Reads the state of a stopped machine, and compares it with that of another one. */
import { readFileSync, rmSync } from "node:fs";
import { hashRange, type Truth } from "../capture/truth.js";
import { hashBlock, locateBlocks, readBlock } from "../qemu/memory.js";
import type { QemuProcess } from "../qemu/process.js";
import { type JsonObject, textOf } from "../../src/io/transport/qmp.js";

/** The part of a ground truth that can be compared. */
export type Expected = Pick<Truth, "blocks" | "pmemsave" | "registers">;

/** The outcome of {@link compare}. */
export interface Comparison {
  /** Run state, as `query-status` names it. */
  readonly runState: string;
  /** Names of blocks whose bytes were compared and are equal. */
  readonly equalBlocks: readonly string[];
  /** Names of blocks whose bytes were compared and differ. */
  readonly differentBlocks: readonly string[];
  /** Null where there was nothing to compare. */
  readonly pmemsaveEqual: boolean | null;
  readonly registersEqual: boolean | null;
}

/** Compares a stopped machine with a ground truth, block by block. */
export async function compare(vm: QemuProcess, expected: Expected): Promise<Comparison> {
  const runState = await readStatus(vm);
  const registers = await vm.human("info registers").catch(() => "");
  const hashes = await blockHashes(vm);
  const known = expected.blocks.filter(({ name, sha256 }) => sha256 !== null && hashes.has(name));
  const ranges: boolean[] = [];
  for (const { start, length, sha256 } of expected.pmemsave) {
    ranges.push((await hashRange(vm, start, length)) === sha256);
  }
  return {
    runState,
    equalBlocks: known.filter(({ name, sha256 }) => hashes.get(name) === sha256).map(({ name }) => name),
    differentBlocks: known.filter(({ name, sha256 }) => hashes.get(name) !== sha256).map(({ name }) => name),
    pmemsaveEqual: ranges.length === 0 ? null : ranges.every(Boolean),
    registersEqual: expected.registers === "" ? null : values(expected.registers) === values(registers),
  };
}

/** The registers in a common form: later versions print "CPU#0" above them and a space inside each XMM register. */
function values(registers: string): string {
  return registers.replaceAll(/^(?:CPU#\d+)?\n/gmu, "").replaceAll(/(?<=XMM\d\d=[0-9a-f]{16}) /gu, "");
}

/** `query-status`: "paused", "running", "prelaunch", "inmigrate", ... */
export async function readStatus(vm: QemuProcess): Promise<string> {
  return textOf(((await vm.execute("query-status")) as JsonObject)["status"]);
}

/** SHA-256 of every RAMBlock that can be located in the machine, by name. */
export async function blockHashes(vm: QemuProcess): Promise<Map<string, string>> {
  const out = new Map<string, string>();
  for (const block of await locateBlocks(vm)) {
    const hash = hashBlock(vm, block);
    if (hash !== undefined) out.set(block.name, hash);
  }
  return out;
}

/** The used part of one RAMBlock; undefined when it does not exist or cannot be located. */
export async function readRamBlock(vm: QemuProcess, name: string): Promise<Buffer | undefined> {
  const block = (await locateBlocks(vm)).find((item) => item.name === name);
  return block === undefined ? undefined : readBlock(vm, block);
}

/** Guest-physical memory by `pmemsave`. */
export async function readPhysical(vm: QemuProcess, start: number, length: number): Promise<Buffer> {
  await vm.execute("pmemsave", { val: start, size: length, filename: "$DIR/physical" });
  const bytes = readFileSync(vm.file("physical"));
  rmSync(vm.file("physical"));
  return bytes;
}

/**
 * Registers of the first CPU by the names of `info registers` (RAX or EAX, RIP or EIP, CR0, ...), hexadecimal numbers
 * only.
 */
export async function readRegisters(vm: QemuProcess): Promise<Map<string, bigint>> {
  const text = await vm.human("info registers");
  const first = text.split(/^CPU#1$/mu)[0] ?? "";
  const found = first.matchAll(/\b([A-Z][A-Z0-9]{1,3}) ?=([0-9a-f]{8,16})\b/gu);
  return new Map([...found].map(([, name = "", value = "0"]) => [name, BigInt(`0x${value}`)]));
}
