import type { RamBlock } from "../../codec/ram/index.js";
import { MergeContext } from "./context.js";
import { groupedBy } from "./grouped.js";
import { canonicalName } from "./pair.js";
import { BLOCK_RENAMES } from "./rules/index.js";
import type { BlockPlan, Change, Survey } from "./types.js";

/** Blocks that QEMU resizes to what the stream says (hw/core/loader.c `rom_add_blob`, hw/i386/acpi-build.c; 7.2). */
const RESIZED = /^\/rom@etc\/(?:acpi\/(?:tables|rsdp)|table-loader)$/u;
/** Blocks that hold programs or tables of the destination's own: the guest has read them when it started. */
const READ_ONLY = /^\/rom@|\.rom$|^pc\.(?:bios|rom)$|^isa-bios$|^(?:[0-9a-f:.]+\/)?[\w-]*rom$/u;
/** Memory of display adapters. */
const DISPLAY = /vram|vga/u;

/**
 * Which pages each RAM block of the destination gets. The guest's own copy wins where it fits; a ROM of another size
 * is the destination's; main memory must be equal.
 */
export function planBlocks(old: Survey, pattern: Survey, changes: Change[]): BlockPlan[] {
  const left = new Set(old.blocks);
  const named = new Map(old.blocks.map((block) => [block.idstr, block]));
  const taken = new Set(pattern.blocks.map(({ idstr }) => idstr));
  const others = groupedBy(
    old.blocks.filter(({ idstr }) => !taken.has(idstr)),
    nameOf,
  );
  const adapter = onlyAdapter(pattern);
  const plans = pattern.blocks.map((block): BlockPlan => {
    const renamed = others.get(nameOf(block)) ?? [];
    const mine = named.get(block.idstr) ?? (renamed.length === 1 && left.has(renamed[0]!) ? renamed[0] : undefined);
    if (mine === undefined) {
      note(block.idstr, undefined, changes, "new-block", "unused", undefined, block.usedLength, NEW);
      return { block, from: "pattern" };
    }
    left.delete(mine);
    if (mine.idstr !== block.idstr) {
      const { rule } = canonicalName(mine.idstr, BLOCK_RENAMES);
      const reason = rule?.reason ?? "another name of the same block";
      note(mine.idstr, old.ramOffset, changes, rule?.name ?? "renamed-block", "form", mine.idstr, block.idstr, reason);
    }
    return sized(mine, block, { offset: old.ramOffset, adapter }, changes);
  });
  for (const block of left) {
    const weight = READ_ONLY.test(block.idstr) ? "unused" : DISPLAY.test(block.idstr) ? "guest" : "never";
    const reason =
      weight === "unused" ? "a ROM that the destination does not have" : "the destination has no memory of this name";
    const remedy = weight === "unused" ? undefined : "the devices and memory backends of the old command line";
    note(
      block.idstr,
      old.ramOffset,
      changes,
      `block:${block.idstr}`,
      weight,
      block.usedLength,
      undefined,
      reason,
      remedy,
    );
  }
  return plans;
}

/** Where the only display adapter is, whose memory may be named without its place. */
function onlyAdapter({ sections }: Survey): string | undefined {
  const places = sections.flatMap(({ idstr }) => /^(.+)\/(?:cirrus_)?vga$/u.exec(idstr)?.[1] ?? []);
  return places.length === 1 ? places[0] : undefined;
}

function nameOf({ idstr }: RamBlock): string {
  return canonicalName(idstr, BLOCK_RENAMES).name;
}

const NEW = "the old stream has no such block: it holds what the destination puts there";

function sized(
  mine: RamBlock,
  block: RamBlock,
  { offset, adapter }: { offset: number; adapter: string | undefined },
  changes: Change[],
): BlockPlan {
  const from = { old: mine.idstr };
  const { usedLength: was } = mine;
  const { usedLength: is, idstr } = block;
  if (was === is) return { block, from };
  if (RESIZED.test(idstr)) {
    note(idstr, offset, changes, "resized-block", "form", was, is, "QEMU gives this block the length of the stream");
    return { block: { ...block, usedLength: was }, from };
  }
  if (READ_ONLY.test(idstr) && was < is) {
    note(idstr, offset, changes, "rom-size", "form", was, is, "the guest's own copy, and zeros after it");
    return { block, from };
  }
  if (READ_ONLY.test(idstr)) {
    const reason = "a ROM of another size: the destination's own, since the guest's does not fit";
    note(idstr, offset, changes, "rom-size", "unused", was, is, reason);
    return { block, from: "pattern" };
  }
  const display = DISPLAY.test(idstr);
  const remedy = display
    ? { property: "vgamem_mb", value: String(was / 2 ** 20), place: adapter }
    : `memory of ${was} bytes under this name (-m)`;
  note(idstr, offset, changes, "memory-size", "never", was, is, "the guest's memory has another size", remedy);
  return { block, from: display ? "pattern" : from };
}

function note(
  name: string,
  offset: number | undefined,
  changes: Change[],
  ...change: Parameters<MergeContext["note"]>
): void {
  new MergeContext(`RAM block ${JSON.stringify(name)}`, offset, changes).note(...change);
}
