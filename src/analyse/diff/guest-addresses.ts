import { QevmError } from "../../bytes/errors.js";
import { findLayout } from "../../guest/layout/layout.js";
import type { Segment } from "../../guest/layout-types.js";
import { ACPI_TABLES } from "../../guest/layout/srat.js";
import { readTables } from "../../guest/read/guest-memory.js";
import type { PageViews } from "./page-views.js";
import type { Scanned } from "./scan.js";

/** From offsets of RAM blocks to guest-physical addresses, as far as the layout is known. */
export class GuestAddresses {
  private constructor(
    private readonly segments: readonly Segment[],
    /** How the layout was found, a line each; null: it was not. */
    readonly how: readonly string[] | null,
  ) {}

  /** By the layout of stream A. */
  static async of(scanned: Scanned, pages: PageViews): Promise<GuestAddresses> {
    const { inspection, facts } = scanned;
    const tables = inspection.ram.blocks.find(({ block: name }) => name === ACPI_TABLES);
    if (tables !== undefined && scanned.pages.has(ACPI_TABLES)) {
      await readTables((...page) => pages.read(...page), tables.blockLength, inspection.pageSize, facts);
    }
    try {
      const blocks = inspection.ram.blocks.map(({ block: name, blockLength: length }) => ({ name, length }));
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
