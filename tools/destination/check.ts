/** Loads a fresh capture into a real destination and compares it with what the source held. */
import type { Entry } from "../capture/entry.js";
import { hashRange, type Truth } from "../capture/truth.js";
import type { QemuBinary } from "../qemu/find.js";
import { hashBlock, locateBlocks } from "../qemu/memory.js";
import type { QemuProcess } from "../qemu/process.js";
import { startDestination } from "./destination.js";

/** What a destination made of a stream. */
export interface LoadCheck {
  readonly loaded: boolean;
  readonly status: string;
  readonly error: string;
  readonly signal: string | null;
  /** Run state of the destination, or null. */
  readonly runState: string | null;
  /** Names of blocks whose bytes were compared and are equal. */
  readonly equalBlocks: readonly string[];
  /** Names of blocks whose bytes were compared and differ. */
  readonly differentBlocks: readonly string[];
  readonly pmemsaveEqual: boolean | null;
  readonly registersEqual: boolean | null;
}

/** The part of the ground truth that a destination can be compared with. */
export type Expected = Pick<Truth, "blocks" | "pmemsave" | "registers">;

/** Runs the entry's own QEMU as destination. Never rejects because of the stream. */
export async function checkLoad(
  qemu: QemuBinary,
  entry: Entry,
  stream: Uint8Array,
  expected: Expected,
  files: Readonly<Record<string, Uint8Array>>,
): Promise<LoadCheck> {
  const migrate = entry.steps.findIndex((step) => "execute" in step && step.execute === "migrate");
  const added = entry.steps.slice(0, migrate).flatMap((step) => {
    const again = "execute" in step && /^(?:object-add|device_add)$/u.test(step.execute);
    return again ? [step] : [];
  });
  const { vm, result } = await startDestination({
    qemu,
    args: entry.args,
    capabilities: entry.capabilities.filter((name) => name !== "events"),
    files,
    before: added,
    stream,
  });
  try {
    const { loaded, status, error, signal } = result;
    if (!loaded) {
      return {
        loaded,
        status,
        error,
        signal,
        runState: null,
        equalBlocks: [],
        differentBlocks: [],
        pmemsaveEqual: null,
        registersEqual: null,
      };
    }
    return { loaded, status, error, signal, ...(await compare(vm, expected)) };
  } finally {
    await vm.close();
  }
}

/** Compares a stopped machine with the ground truth of another. */
export async function compare(
  vm: QemuProcess,
  expected: Expected,
): Promise<Pick<LoadCheck, "runState" | "equalBlocks" | "differentBlocks" | "pmemsaveEqual" | "registersEqual">> {
  const state = (await vm.execute("query-status")) as { readonly status?: string };
  const registers = await vm.human("info registers").catch(() => "");
  const hashes = new Map((await locateBlocks(vm)).map((block) => [block.name, hashBlock(vm, block)]));
  const known = expected.blocks.filter(({ name, sha256 }) => sha256 !== null && hashes.get(name) !== undefined);
  const ranges: boolean[] = [];
  for (const { start, length, sha256 } of expected.pmemsave) {
    ranges.push((await hashRange(vm, start, length)) === sha256);
  }
  return {
    runState: state.status ?? null,
    equalBlocks: known.filter(({ name, sha256 }) => hashes.get(name) === sha256).map(({ name }) => name),
    differentBlocks: known.filter(({ name, sha256 }) => hashes.get(name) !== sha256).map(({ name }) => name),
    pmemsaveEqual: ranges.length === 0 ? null : ranges.every(Boolean),
    registersEqual: expected.registers === "" ? null : expected.registers === registers,
  };
}
