import { MergeContext } from "./context.js";
import { groupedBy } from "./grouped.js";
import { SECTION_RENAMES, SECTION_RULES } from "./rules/index.js";
import type { RenameRule } from "./rules/types.js";
import type { Change, Section } from "./types.js";

/** A section of the destination with the old one that its state is taken from. */
export interface Pair {
  old: Section;
  pattern: Section;
}

/** What every machine with a CPU saves of it (hw/core/cpu-common.c, target/i386/machine.c, target/arm/machine.c; 7.2). */
const CPU = /^cpu(?:_common)?$/u;

/** How a section is called in lists of changes. */
export function sectionName({ idstr, instanceId }: Section): string {
  return `${JSON.stringify(idstr)}/${instanceId}`;
}

/**
 * The sections of the pattern, in its order, each with the old one that its state comes from: by name and instance, else
 * by name where both sides have equally many, else by the names of other releases. Unpaired sections are noted.
 */
export function pairSections(old: readonly Section[], pattern: readonly Section[], changes: Change[]): Pair[] {
  const left = new Set(old);
  const found = new Map<Section, Section>();
  const take = (theirs: Section, mine: Section, rule?: string): void => {
    found.set(theirs, mine);
    left.delete(mine);
    if (rule === undefined) return;
    const text = rule === "instance-id" ? "instances are numbered in another way, in the same order" : "another name";
    const ctx = new MergeContext(sectionName(mine), mine.offset, changes);
    ctx.note(rule, "form", sectionName(mine), sectionName(theirs), text);
  };
  const exact = new Map(old.map((one) => [sectionName(one), one]));
  for (const theirs of pattern) {
    const mine = exact.get(sectionName(theirs));
    if (mine !== undefined && left.has(mine)) take(theirs, mine);
  }
  // By name alone: instance numbers may differ, the order is the same. Then by the names of other releases.
  for (const [rule, nameOf] of [
    ["instance-id", ({ idstr }: Section) => idstr],
    ["renamed-section", ({ idstr }: Section) => canonicalName(idstr, SECTION_RENAMES).name],
  ] as const) {
    const mine = groupedBy(left, nameOf);
    const theirs = groupedBy(
      pattern.filter((one) => !found.has(one)),
      nameOf,
    );
    for (const [name, rest] of theirs) {
      const same = mine.get(name) ?? [];
      if (same.length === rest.length) for (const [i, one] of rest.entries()) take(one, same[i]!, rule);
    }
  }
  const places = new Places(pattern);
  for (const mine of left) gone(mine, places, changes);
  const names = new Set(old.map(({ idstr }) => idstr));
  for (const theirs of pattern) if (!found.has(theirs)) added(theirs, names, changes);
  return pattern.flatMap((theirs) => {
    const mine = found.get(theirs);
    return mine === undefined ? [] : [{ old: mine, pattern: theirs }];
  });
}

/** A name as the rules call it, and the rule that does. */
export function canonicalName(name: string, rules: readonly RenameRule[]): { name: string; rule?: RenameRule } {
  const rule = rules.find(({ pattern }) => pattern.test(name));
  return rule === undefined ? { name } : { name: name.replace(rule.pattern, rule.becomes), rule };
}

/** @param names of the old sections */
function added(one: Section, names: ReadonlySet<string>, changes: Change[]): void {
  if (CPU.test(one.idstr) && !names.has(one.idstr)) {
    const ctx = new MergeContext(sectionName(one), undefined, changes);
    ctx.note("no-cpu", "never", undefined, "as it starts", "the old stream has no CPU: the guest would start anew");
    return;
  }
  const rule = SECTION_RULES.find(({ section }) => section.test(one.idstr));
  const reason = rule?.reason ?? "the old stream has nothing for this device: it stays as the destination starts it";
  const ctx = new MergeContext(sectionName(one), undefined, changes);
  ctx.note(rule?.name ?? "new-section", "unused", undefined, "as it starts", reason);
}

function gone(one: Section, places: Places, changes: Change[]): void {
  const rule = SECTION_RULES.find(({ section }) => section.test(one.idstr));
  const reason = rule?.reason ?? "the destination has no such device";
  const ctx = new MergeContext(sectionName(one), one.offset, changes);
  const name = rule?.name ?? `section:${one.idstr}`;
  ctx.note(name, rule?.weight ?? "guest", "there", undefined, reason, places.remedyFor(one));
}

/** Where the destination has which devices. */
class Places {
  private readonly byKind = new Map<string, string>();
  private readonly byPlace = new Map<string, string>();

  constructor(sections: readonly Section[]) {
    for (const { idstr } of sections) {
      const { kind, place } = parts(idstr);
      if (place !== "" && !this.byKind.has(kind)) this.byKind.set(kind, idstr);
      if (place !== "" && !this.byPlace.has(place)) this.byPlace.set(place, idstr);
    }
  }

  /** How the destination gets the device of a section. */
  remedyFor({ idstr }: Section): string {
    const { kind, place } = parts(idstr);
    const moved = this.byKind.get(kind);
    if (moved !== undefined && moved !== idstr)
      return `the destination has it at ${JSON.stringify(moved)}: addr= puts it where the guest has it`;
    const other = place === "" ? undefined : this.byPlace.get(place);
    if (other === undefined || other === idstr)
      return `a device on the destination's command line that has the section ${JSON.stringify(idstr)}`;
    const nic = /^(?:e1000e?|rtl8139|virtio-net|pcnet|ne2000)$/u.test(kind) ? `: -nic model=${kind}` : "";
    return `the destination has ${JSON.stringify(other)} at this place, where the guest has a ${kind}${nic}`;
  }
}

/** `0000:00:02.0` and `e1000` of `0000:00:02.0/e1000`. */
function parts(idstr: string): { kind: string; place: string } {
  const at = idstr.lastIndexOf("/");
  return { kind: idstr.slice(at + 1), place: idstr.slice(0, Math.max(0, at)) };
}
