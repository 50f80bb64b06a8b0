/** Saves a memory that threads keep writing, and checks the result. */
import type { Test } from "tape";
import { FlatMemory, loadStream } from "../../src/rewrite/load/index.js";
import { MemorySink, MemorySource, QemuFileReader } from "../../src/bytes/index.js";
import {
  markDirty,
  SharedBlock,
  saveStream,
  type MigrationStatistics,
  type SaveOptions,
  type SavePageHook,
} from "../../src/rewrite/save/index.js";
import { corpusEntry } from "../../tools/corpus.js";
import { startDestination, readRamBlock } from "../../tools/destination/index.js";
import { fillMemory } from "../../tools/guest/fill-memory.js";
import { findQemu } from "../../tools/qemu/find.js";
import { commonArguments } from "../../tools/qemu/process.js";
import { WritingGuest } from "./guest.js";

const template = corpusEntry("machine-none");

/**
 * The template's block list, parsed by hand: be64 total | 4, then str8 name, be64 length, after the START header of
 * "ram".
 */
function templateBlocks(stream: Buffer): { idstr: string; length: number }[] {
  const at = stream.indexOf("\u0003ram", 0, "latin1") + 12;
  const reader = QemuFileReader.over(stream.subarray(at));
  const total = Number(reader.u64() & ~0xfffn);
  const blocks = [];
  for (let sum = 0; sum < total;) {
    const idstr = reader.string8();
    const length = Number(reader.u64());
    blocks.push({ idstr, length });
    sum += length;
  }
  return blocks;
}

/** The result of a save. */
export interface Run {
  stream: Uint8Array;
  statistics: MigrationStatistics;
  memory: Uint8Array;
  name: string;
}

/** The stream for everything except the memory. */
export const machine = template.open();
/** Its block. */
export const [ram] = templateBlocks(machine);

/**
 * Handles no page, but changes the first 256 again three times when they are sent. So there is a third round, and
 * XBZRLE has work, even if a busy machine hardly runs the writers.
 */
function touchAgain(): SavePageHook {
  let left = 3 * 256;
  return (block, offset, page) => {
    if (offset >= 256 * 4096 || left === 0) return false;
    left--;
    page[left % 4096]! ^= 0x5a;
    markDirty(block.log, offset / 4096);
    return false;
  };
}

/** Saves a memory of the template's size while threads write it, with QEMU's parameters. */
export async function live(options: SaveOptions, writers = 8, rate = 150): Promise<Run> {
  const buffer = new SharedArrayBuffer(ram!.length);
  const block = new SharedBlock(0, ram!.idstr, buffer);
  fillMemory(block.bytes, 7);
  const guest = await WritingGuest.start(block, writers, rate);
  const sink = new MemorySink();
  try {
    const statistics = await saveStream(new MemorySource(machine), sink, [block], {
      maxBandwidth: 8e6,
      downtimeLimit: 30,
      hook: touchAgain(),
      ...options,
      stop: () => guest.stop(),
    });
    return { stream: sink.bytes(), statistics, memory: block.bytes, name: block.idstr };
  } finally {
    await guest.stop();
  }
}

/** Checks with our load path, the statistics and a real QEMU 7.2 that everything arrived. `writing`: as for `live`. */
export async function arrivesWhole(t: Test, options: SaveOptions, ...writing: number[]): Promise<void> {
  const { stream, statistics, memory, name: block } = await live(options, ...writing);
  const sink = new FlatMemory();
  const loaded = await loadStream(new MemorySource(stream), sink);
  t.ok(Buffer.from(memory).equals(sink.blocks.get(block)!), "our own load path holds what the guest held");
  const { ram: figures, compression } = statistics;
  t.equal(loaded.pages.compressed, compression.pages, `compression.pages ${compression.pages}`);
  t.equal(loaded.pages.normal, figures.normal, `normal ${figures.normal}`);
  t.equal(loaded.pages.zero, figures.duplicate, `duplicate ${figures.duplicate}`);
  t.equal(loaded.pages.xbzrle, statistics["xbzrle-cache"].pages, `xbzrle pages ${loaded.pages.xbzrle}`);
  if (options.xbzrle === true) t.ok(loaded.pages.xbzrle > 0, "some pages went as differences");
  t.equal(figures.transferred, stream.length, "transferred");
  t.ok(figures["dirty-sync-count"] > 2, `${figures["dirty-sync-count"]} syncs`);
  if (options.compressThreads === undefined) t.equal(compression.pages, 0);
  else t.ok(compression.pages > 0 && compression["compressed-size"] > compression.pages * 4, "pages were compressed");
  if (options.compressWaitThread === false) t.ok(compression.busy >= 0, `${compression.busy} busy`);
  else t.equal(compression.busy, 0, "nobody was found busy");
  const qemu = findQemu("7.2");
  if (qemu === undefined) {
    t.comment("SKIP real destination: no QEMU 7.2 here");
    return;
  }
  const { vm, result } = await startDestination({
    qemu,
    args: template.capture.command.slice(1 + commonArguments.length),
    capabilities: ["compress"],
    stream,
  });
  try {
    t.ok(result.loaded, `QEMU 7.2 loads it ${result.error}`);
    if (result.loaded) t.ok(Buffer.from(memory).equals((await readRamBlock(vm, block))!), "and holds the same");
  } finally {
    await vm.close();
  }
}
