import { QevmError } from "../../bytes/errors.js";
import { noteTables } from "../../guest/layout/facts.js";
import { findLayout } from "../../guest/layout/layout.js";
import type { Segment } from "../../guest/layout-types.js";
import { ACPI_TABLES, MOST_TABLES } from "../../guest/layout/srat.js";
import type { PageViews } from "./page-views.js";
import type { Scanned } from "./scan.js";

/** From offsets of RAM blocks to guest-physical addresses, as far as the layout can be told. */
export class GuestAddresses {
  private constructor(
    private readonly segments: readonly Segment[],
    /** How the layout was found, a line each; null: it was not. */
    readonly how: readonly string[] | null,
  ) {}

  /** By the layout of stream A. */
  static async of(scanned: Scanned, pages: PageViews): Promise<GuestAddresses> {
    const { inspection, facts } = scanned;
    await readTables(scanned, pages);
    try {
      const blocks = inspection.ram.blocks.map(({ name, length }) => ({ name, length }));
      const { segments, how } = findLayout({ ...facts, machine: inspection.machine ?? undefined, blocks });
      return new GuestAddresses(segments, how);
    } catch (error) {
      // No main memory: pages have offsets in their blocks all the same.
      if (error instanceof QevmError && error.code === "unsupported") return new GuestAddresses([], null);
      throw error;
    }
  }

  /** Of a byte of a block; null: it is not mapped, or that is not known. */
  of(block: string, offset: number): number | null {
    for (const segment of this.segments) {
      const into = offset - segment.offset;
      if (segment.block === block && into >= 0 && into < segment.length) return segment.start + into;
    }
    return null;
  }
}

/** The ACPI tables say which NUMA nodes main memory is made of. */
async function readTables({ inspection, facts, pages: table }: Scanned, pages: PageViews): Promise<void> {
  const block = inspection.ram.blocks.find(({ name }) => name === ACPI_TABLES);
  if (block === undefined || !table.has(ACPI_TABLES)) return;
  const { pageSize } = inspection;
  const bytes = new Uint8Array(Math.min(block.length, MOST_TABLES));
  for (let offset = 0; offset + pageSize <= bytes.length; offset += pageSize) {
    bytes.set(await pages.view(ACPI_TABLES, offset), offset);
  }
  noteTables(bytes, facts);
}
