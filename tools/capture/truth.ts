/** The state of the stopped source, recorded without the decoder's code. */
import { readFileSync, rmSync } from "node:fs";
import type { LoadCheck } from "../destination/check.js";
import { usualProgram } from "../qemu/find.js";
import { hashBlock, locateBlocks } from "../qemu/memory.js";
import type { QemuProcess } from "../qemu/process.js";
import type { Entry } from "./entry.js";
import type { Json, JsonObject } from "../../src/io/transport/qmp.js";
import { sha256Of } from "../sha256.js";

/** One RAM block of the source. */
export interface BlockTruth {
  readonly name: string;
  /** Used length in bytes, as the stream names it. */
  readonly length: number;
  /** SHA-256 of those bytes; null where they could not be read, with the reason in `how`. */
  readonly sha256: string | null;
  /** Where the bytes were found. */
  readonly how: string;
}

/** A guest-physical range as the guest sees it. */
interface RangeTruth {
  readonly start: number;
  readonly length: number;
  readonly sha256: string;
}

/** The content of truth.json. */
export interface Truth {
  readonly blocks: readonly BlockTruth[];
  /** `pmemsave` of the stopped source. */
  readonly pmemsave: readonly RangeTruth[];
  /** `info registers` of the stopped source; empty for a machine without CPU. */
  readonly registers: string;
  readonly queryMigrate: Json;
  /** `query-status` after the migration. */
  readonly status: Json;
  /** Run state before the migration, which `globalstate` in the stream contains. */
  readonly statusBefore: Json;
  /** Result of loading the stream in a real destination of the same version. */
  readonly destination: LoadCheck | null;
}

/** Records everything that can be read from a stopped machine, without the destination's result. */
export async function takeTruth(
  vm: QemuProcess,
  statusBefore: Json,
  ranges: Entry["ranges"] = [],
): Promise<Omit<Truth, "destination">> {
  const registers = await vm.human("info registers").catch(() => "");
  const queryMigrate = await vm.execute("query-migrate");
  const status = await vm.execute("query-status");
  const located = await locateBlocks(vm);
  const blocks = located.map((block): BlockTruth => {
    const sha256 = hashBlock(vm, block) ?? null;
    return { name: block.name, length: block.used, sha256, how: block.how };
  });
  // Memory starts at other addresses on other targets; their blocks are compared instead.
  const pmemsave = vm.qemu.command.at(-1) === usualProgram ? await saveRanges(vm, ranges) : [];
  return { blocks, pmemsave, registers, queryMigrate, status, statusBefore };
}

/** SHA-256 of a guest-physical range by `pmemsave`. */
export async function hashRange(vm: QemuProcess, start: number, length: number): Promise<string> {
  await vm.execute("pmemsave", { val: start, size: length, filename: "$DIR/range" });
  const sha256 = sha256Of(readFileSync(vm.file("range")));
  rmSync(vm.file("range"));
  return sha256;
}

/** Low memory below the VGA window, main memory from 1 MiB on, and further requested ranges. */
async function saveRanges(vm: QemuProcess, more: Entry["ranges"]): Promise<RangeTruth[]> {
  const cpus = (await vm.execute("query-cpus-fast")) as readonly Json[];
  if (cpus.length === 0) return [];
  const size = (await vm.execute("query-memory-size-summary")) as JsonObject;
  const end = Math.min(Number(size["base-memory"]), 0x8000_0000);
  const ranges = [
    { start: 0, length: Math.min(end, 0xa_0000) },
    { start: 0x10_0000, length: end - 0x10_0000 },
    ...more,
  ].filter(({ length }) => length > 0);
  const out: RangeTruth[] = [];
  for (const { start, length } of ranges) out.push({ start, length, sha256: await hashRange(vm, start, length) });
  return out;
}
