import { QevmError } from "../../bytes/errors.js";
import { MemorySource, type QemuFileReader } from "../../bytes/index.js";
import type { RamBatch, RamBlock } from "../ram/index.js";
import type { StreamItem } from "./items.js";

/**
 * The target page size of a stream that does not say it.
 *
 * The configuration names it only where a target has several (ARM), and then only above the smallest (1 KiB):
 * VMDESCRIPTION says it, but at the very end. The first round of pages shows it: records follow each other by one page,
 * and a page's body ends where the next record begins.
 *
 * Source: QEMU migration/savevm.c vmstate_target_page_bits_needed; TARGET_PAGE_BITS of the targets (7.2): avr 256
 * bytes, arm before v7 and v6-M to v8-M 1 KiB, alpha, or1k, sparc64 and cris 8 KiB, loongarch64 and tricore 16 KiB; the
 * others 4 KiB.
 */
const PAGE_SIZES: readonly number[] = [4096, 1024, 2048, 8192, 16_384, 65_536, 256, 512];

const USUAL_SIZE = 4096;

/**
 * Machines that are known by name to have pages of 4 KiB. ARM's virt has pages of the target's smallest size, 1 KiB, up
 * to 2.7 (7.2 hw/arm/virt.c minimum_page_bits).
 */
const USUAL = /^(?:pc|q35|microvm|isapc|xen|x-remote|nitro|s390-ccw|pseries|virt-(?!2\.[67]$))/u;

/** Bytes that are looked at. */
const WINDOW = 256 * 1024;

/** Page records that are looked at. */
const RECORDS = 4096;

/** Steps from page to page that a size other than the usual one must show. */
const STEPS = 4;

interface Evidence {
  /** Decoding met nothing wrong but the end of what was looked at. */
  fits: boolean;
  /** It did not meet that end either. */
  ends: boolean;
  /** Records that follow the one before by a page. */
  steps: number;
  /** Records that follow it by another distance. */
  jumps: number;
}

/** Whether the machine's name leaves the size open. */
export function pageSizeIsOpen(machine: string | undefined): boolean {
  return machine !== undefined && !USUAL.test(machine);
}

/**
 * The size that the first pages after `reader` show; undefined: they leave it open. Nothing is consumed. `walk` decodes
 * bytes that begin at the reader's position, with pages of the given size.
 */
export async function shownPageSize(
  reader: QemuFileReader,
  walk: (source: MemorySource, pageSize: number) => AsyncIterable<StreamItem>,
): Promise<number | undefined> {
  const more = await reader.fill(WINDOW);
  const bytes = reader.buffer.subarray(reader.position, Math.min(reader.end, reader.position + WINDOW));
  const cut: number[] = [];
  for (const pageSize of PAGE_SIZES) {
    const { fits, ends, steps, jumps } = await collectEvidence(walk(new MemorySource(bytes), pageSize), pageSize);
    if (!fits || jumps > 0 || (pageSize !== USUAL_SIZE && steps < STEPS)) continue;
    // A stream that is completely in the window does not end in it, unless it was cut.
    if (more || ends) return pageSize;
    cut.push(pageSize);
  }
  return cut[0];
}

async function collectEvidence(items: AsyncIterable<StreamItem>, pageSize: number): Promise<Evidence> {
  const round = new FirstRound(pageSize);
  try {
    for await (const item of items) {
      if (item.kind === "opaque" || (item.kind === "section" && item.type === "full")) break;
      if (item.kind !== "section" || item.content.kind !== "ram") continue;
      for await (const batch of item.records()) round.batch(batch);
      if (round.over) break;
    }
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    return round.evidence(error.code === "truncated", false);
  }
  return round.evidence(true, true);
}

/** Counts how page records follow each other, until the first one goes back. */
class FirstRound {
  over = false;
  private steps = 0;
  private jumps = 0;
  private count = 0;
  private block: RamBlock | undefined;
  private last = 0;

  constructor(private readonly pageSize: number) {}

  batch(batch: RamBatch): void {
    for (let i = 0; i < batch.count && !this.over; i++) {
      const block = batch.block[i];
      if (block === undefined) continue;
      const offset = batch.offset[i]!;
      if (block === this.block) this.follow(offset - this.last);
      this.block = block;
      this.last = offset;
      if (++this.count >= RECORDS) this.over = true;
    }
  }

  evidence(fits: boolean, ends: boolean): Evidence {
    return { fits, ends, steps: this.steps, jumps: this.jumps };
  }

  private follow(distance: number): void {
    if (distance <= 0) this.over = true;
    else if (distance === this.pageSize) this.steps++;
    else this.jumps++;
  }
}
