import { MergeContext } from "./context.js";
import { SECTION_RENAMES, SECTION_RULES } from "./rules/index.js";
import type { RenameRule } from "./rules/types.js";
import type { Change, Section } from "./types.js";

/** A section of the destination with the old one that its state is taken from. */
export interface Pair {
  old: Section;
  pattern: Section;
}

/** How a section is called in lists of changes. */
export function sectionName({ idstr, instanceId }: Section): string {
  return `${JSON.stringify(idstr)}/${instanceId}`;
}

/**
 * The sections of the pattern, in its order, with the old ones that go there: by name and instance, else by name
 * where each side has as many of it, else by the names that a section had in other releases. What is left over is
 * noted.
 */
export function pairSections(old: readonly Section[], pattern: readonly Section[], changes: Change[]): Pair[] {
  const left = new Set(old);
  const found = new Map<Section, Section>();
  const take = (theirs: Section, mine: Section | undefined): void => {
    if (mine === undefined) return;
    found.set(theirs, mine);
    left.delete(mine);
  };
  for (const theirs of pattern) {
    take(
      theirs,
      old.find(({ idstr, instanceId }) => idstr === theirs.idstr && instanceId === theirs.instanceId),
    );
  }
  // Instance numbers count in another way: the order is the same.
  for (const theirs of pattern.filter((one) => !found.has(one))) {
    const same = (one: Section): boolean => one.idstr === theirs.idstr;
    const mine = [...left].filter((one) => same(one));
    const rest = pattern.filter((one) => same(one) && !found.has(one));
    if (mine.length === rest.length) for (const [i, one] of rest.entries()) renamed(one, mine[i]!, "instance-id");
  }
  for (const theirs of pattern.filter((one) => !found.has(one))) {
    const name = canonicalName(theirs.idstr, SECTION_RENAMES);
    const mine = [...left].filter((one) => canonicalName(one.idstr, SECTION_RENAMES).name === name.name);
    if (mine.length === 1 && name.rule !== undefined) renamed(theirs, mine[0]!, name.rule.name);
  }
  function renamed(theirs: Section, mine: Section, rule: string): void {
    const text = rule === "instance-id" ? "instances are numbered in another way, in the same order" : "another name";
    const ctx = new MergeContext(sectionName(mine), mine.offset, changes);
    ctx.note(rule, "form", sectionName(mine), sectionName(theirs), text);
    take(theirs, mine);
  }
  for (const mine of left) unpaired(mine, "old", pattern, changes);
  for (const theirs of pattern) if (!found.has(theirs)) unpaired(theirs, "pattern", old, changes);
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

function unpaired(one: Section, whose: "old" | "pattern", others: readonly Section[], changes: Change[]): void {
  const rule = SECTION_RULES.find(({ section }) => section.test(one.idstr));
  const ctx = new MergeContext(sectionName(one), whose === "old" ? one.offset : undefined, changes);
  if (whose === "pattern") {
    const reason = rule?.reason ?? "the old stream has nothing for this device: it stays as the destination starts it";
    ctx.note(rule?.name ?? "new-section", "unused", undefined, "as it starts", reason);
    return;
  }
  const reason = rule?.reason ?? "the destination has no such device";
  ctx.note(
    rule?.name ?? `section:${one.idstr}`,
    rule?.weight ?? "guest",
    "there",
    undefined,
    reason,
    remedyFor(one, others),
  );
}

/** How the destination gets the device of a section. */
function remedyFor({ idstr }: Section, others: readonly Section[]): string {
  const [kind, place] = [idstr.split("/").at(-1)!, idstr.split("/").slice(0, -1).join("/")];
  const moved = others.find((one) => one.idstr !== idstr && one.idstr.endsWith(`/${kind}`));
  if (moved !== undefined)
    return `the destination has it at ${JSON.stringify(moved.idstr)}: addr= puts it where the guest has it`;
  const other = place === "" ? undefined : others.find((one) => one.idstr.startsWith(`${place}/`));
  if (other === undefined)
    return `a device on the destination's command line that has the section ${JSON.stringify(idstr)}`;
  const nic = /^(?:e1000e?|rtl8139|virtio-net|pcnet|ne2000)$/u.test(kind) ? `: -nic model=${kind}` : "";
  return `the destination has ${JSON.stringify(other.idstr)} at this place, where the guest has a ${kind}${nic}`;
}
