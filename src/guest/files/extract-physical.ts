import { join, resolve } from "node:path";
import { hex, QevmError, type Warning } from "../../bytes/errors.js";
import type { ByteSource } from "../../bytes/source.js";
import type { RamBlock } from "../../codec/ram/index.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import { AtomicFile } from "../../io/transport/file.js";
import { x86Cpus } from "../cores/core-x86.js";
import { outputPlace } from "../../io/transport/output-place.js";
import { temporaryFolder } from "../../io/transport/temporary.js";
import type { CoreNotes } from "./elf.js";
import { extractBlocks } from "./extract-blocks.js";
import { noFacts, noteFacts, noteTables, type DeviceFacts } from "../layout/facts.js";
import { BlockData } from "./block-data.js";
import type { Split } from "./block-files.js";
import { isDeviceBlock } from "../layout/main-memory.js";
import { becomeRaw, fitsInPlace, type PlacedFile } from "./raw-in-place.js";
import { findLayout, ruledLow } from "../layout/layout.js";
import type { Layout, LayoutFacts, Segment } from "../layout-types.js";
import { ACPI_TABLES, tablesOf } from "../layout/srat.js";
import type { PageBits } from "../pages/page-bits.js";
import { parseLayout, stateLayout } from "../layout/stated-layout.js";
import { mappedLoads } from "./paging.js";
import { PhysicalFiles } from "./physical-files.js";
import { copyRange, writeKdump, writePhysical, writeWindow, type LaidRange } from "./physical-output.js";
import { utsnameOf } from "./utsname.js";
import { findNote, readNote } from "./vmcoreinfo.js";

/** Which file is written, and of which part of guest-physical memory. */
export interface PhysicalOptions extends StreamOptions {
  format: "raw" | "elf" | "lime" | "kdump";
  /** For elf: PT_LOADs by the virtual addresses that the page tables of all CPUs map. */
  paging?: boolean | undefined;
  /** As `--layout`; default: determined from the stream. */
  layout?: string | undefined;
  /** Guest-physical range; default: all. */
  from?: number | undefined;
  length?: number | undefined;
}

/** What was written. Lengths in bytes. */
export interface ExtractedPhysical {
  machine: string | null;
  complete: boolean;
  format: string;
  segments: Segment[];
  /** How the layout was determined. */
  layout: string[];
  cpuCount: number;
  /** How the guest's VMCOREINFO note was found; null: not searched (only elf has notes) or not found. */
  vmcoreinfo: string | null;
  /** Number of mapped ranges; null: not asked for, or no CPU translates addresses. */
  mappedRangeCount: number | null;
  /** Size of the file in bytes. */
  fileLength: number;
  warnings: Warning[];
  /** See `ExtractedBlocks`. */
  passedOver: number;
}

/**
 * Writes guest-physical memory to one file, atomically. raw: byte N is address `from` + N, with holes where there is no
 * memory. elf: a 64-bit core with CPU notes. lime: a header before each range. kdump: compressed pages with CPU notes. A raw file of
 * all memory is made in place (see `Expected`). Otherwise the blocks go through sparse temporary files beside the output, because a page may
 * occur again later and the host bridge's state is at the end. Errors: as `extractBlocks`; unsupported (no layout),
 * usage.
 */
export async function extractPhysical(
  source: ByteSource,
  path: string,
  options: PhysicalOptions,
): Promise<ExtractedPhysical> {
  const out = resolve(path);
  const target = outputPlace(path);
  if (options.paging === true && options.format !== "elf") throw new QevmError("usage", "paging is for elf");
  const stated = options.layout === undefined ? undefined : parseLayout(options.layout);
  const work = temporaryFolder(target.folder, "qevm-extract");
  const found: DeviceFacts = { ...noFacts(), ...(needsCpus(options) ? { states: [] } : {}) };
  try {
    const folder = join(work.path, "blocks");
    const whole = options.from === undefined && options.length === undefined;
    const expected = new Expected(options.format === "raw" && whole);
    const written = new Map<string, PageBits>();
    const extracted = await extractBlocks(source, folder, {
      ...options,
      onItem: (item) => noteFacts(item, found),
      split: (block, machine) => expected.split(block, machine),
      onWritten: (block, pages) => written.set(block, pages),
    });
    const data = new BlockData(folder, extracted.blocks, extracted.pageSize, written);
    if (written.has(ACPI_TABLES)) noteTables(tablesOf(data.path(ACPI_TABLES)), found);
    const blocks = extracted.blocks.map(({ block, blockLength }) => ({ name: block, length: blockLength }));
    const facts: LayoutFacts = { ...found, machine: extracted.machine ?? undefined, blocks };
    const layout = stated === undefined ? findLayout(facts) : stateLayout(stated, blocks);
    const ranges = clipSegments(layout, options);
    const rest = (bytes: number, fd: number): void =>
      writeWindow({ path: out, fd }, data, layout, bytes, options.from ?? 0);
    const memory = new PhysicalFiles(layout.segments, data);
    const isCore = options.format === "elf" || options.format === "kdump";
    const vmcoreinfo = isCore ? guestNote(memory, found, whole) : undefined;
    const loads = options.paging === true ? await mappedLoads(found.states ?? [], memory, found, ranges) : undefined;
    const done = (bytes: number): ExtractedPhysical => {
      const { machine, complete, warnings, passedOver } = extracted;
      return {
        machine,
        complete,
        format: options.format,
        segments: ranges,
        layout: layout.how,
        cpuCount: found.cpus.length + found.otherCpus.length,
        vmcoreinfo: vmcoreinfo?.how ?? null,
        mappedRangeCount: loads?.length ?? null,
        fileLength: bytes,
        warnings,
        passedOver,
      };
    };
    const main = expected.file(data);
    if (main !== undefined && fitsInPlace(main, ranges)) {
      const bytes = becomeRaw(main, ranges, target, (fd, others) => {
        for (const range of others) copyRange(data, range, { path: out, fd }, range.start);
        rest(endOf(ranges), fd);
      });
      return done(bytes);
    }
    const file = new AtomicFile(out);
    try {
      const cpus = [...x86Cpus(found.cpus), ...found.otherCpus];
      const notes = { cpus, vmcoreinfo: vmcoreinfo?.note, fallback: machineOf(blocks) };
      const to = { path: out, fd: file.fd };
      const laid = expected.withSplits(ranges);
      const { format, from, length } = options;
      const bytes =
        format === "kdump"
          ? await writeKdump(to, data, laid, notes, await utsname(vmcoreinfo?.note, found, memory))
          : writePhysical(to, data, laid, { format, notes, loads, from, length });
      if (format === "raw") rest(bytes, file.fd);
      file.commit();
      return done(bytes);
    } finally {
      file.abort();
    }
  } finally {
    work.remove();
  }
}

function needsCpus({ paging, format }: PhysicalOptions): boolean {
  return paging === true || format === "kdump";
}

async function utsname(
  note: Uint8Array | undefined,
  facts: DeviceFacts,
  memory: PhysicalFiles,
): Promise<Uint8Array | undefined> {
  return note === undefined ? undefined : await utsnameOf(note, facts.states ?? [], memory, facts);
}

/** The end of the last range. */
function endOf(ranges: readonly Segment[]): number {
  const last = ranges.at(-1)!;
  return last.start + last.length;
}

/**
 * A whole raw file is mostly main memory. Its block is written with the split that the machine type's rule predicts. If
 * the prediction is right, its file becomes the raw file, and nothing is written twice.
 */
class Expected {
  private main: { block: string; length: number; split: Split } | undefined;

  constructor(private readonly wanted: boolean) {}

  split({ idstr, usedLength }: RamBlock, machine = ""): Split | undefined {
    if (!this.wanted || this.main !== undefined || isDeviceBlock(idstr) || usedLength === 0) return undefined;
    const low = ruledLow(machine, usedLength);
    const split = { at: low, by: low < usedLength ? FOUR_GIB - low : 0 };
    this.main = { block: idstr, length: usedLength, split };
    return split;
  }

  file(data: BlockData): PlacedFile | undefined {
    return this.main === undefined ? undefined : { ...this.main, path: data.path(this.main.block) };
  }

  /** Ranges with the split of their block's file. */
  withSplits(ranges: readonly Segment[]): LaidRange[] {
    const { main } = this;
    return ranges.map((range) => (range.block === main?.block ? { ...range, split: main.split } : range));
  }
}

const FOUR_GIB = 2 ** 32;

/**
 * The parts of the segments inside the requested range. A whole raw file ends with the last memory; it does not extend
 * to devices above.
 */
function clipSegments({ segments }: Layout, { format, from = 0, length }: PhysicalOptions): Segment[] {
  const end = length === undefined ? Number.MAX_SAFE_INTEGER : from + length;
  const top = segments.findLast(({ device }) => device !== true);
  const ranges: Segment[] = [];
  for (const segment of segments) {
    // dump-guest-memory includes RAM and ROM, but not flash.
    if (format !== "raw" && /^virt\.flash\d$/u.test(segment.block)) continue;
    if (format === "raw" && length === undefined && top !== undefined && segment.start > top.start) continue;
    const start = Math.max(segment.start, from);
    const stop = Math.min(segment.start + segment.length, end);
    if (start < stop)
      ranges.push({ ...segment, start, length: stop - start, offset: segment.offset + start - segment.start });
  }
  if (ranges.length === 0) throw new QevmError("usage", "no memory in this range");
  return ranges;
}

const MACHINES: Readonly<Record<string, CoreNotes["fallback"]>> = {
  "mach-virt.ram": { machine: 183, littleEndian: true },
  "riscv_virt_board.ram": { machine: 243, littleEndian: true },
  "s390.ram": { machine: 22, littleEndian: false },
  "ppc_spapr.ram": { machine: 21, littleEndian: false },
};

/** The kind of core for the name of main memory, where no CPU was decoded. */
function machineOf(blocks: readonly { name: string }[]): CoreNotes["fallback"] {
  return blocks.map(({ name }) => MACHINES[name]).find((one) => one !== undefined);
}

/** The guest's VMCOREINFO note: at the address from its device, or found by searching. */
function guestNote(
  memory: PhysicalFiles,
  facts: DeviceFacts,
  whole: boolean,
): { note: Uint8Array; how: string } | undefined {
  const told = facts.vmcoreinfo === undefined ? undefined : readNote(memory, facts.vmcoreinfo);
  if (told !== undefined)
    return { note: told, how: `at ${hex(facts.vmcoreinfo!.address)}, as the vmcoreinfo device says` };
  // The search covers all memory, so it is not done for a part.
  if (!whole) return undefined;
  const found = findNote(memory);
  return found === undefined ? undefined : { note: found.note, how: `found in memory at ${hex(found.address)}` };
}
