import { fieldGroups, type FieldGroup, type StructDescription } from "../../codec/vmstate/index.js";

/** A field of one struct beside that of the other. */
interface AlignedField {
  /** The name that the result gives it. */
  key: string;
  mine?: FieldGroup;
  theirs?: FieldGroup;
}

/**
 * The fields of both in the pattern's order; those that only the old one has after what was before them there. Fields
 * of the same kind at the same place with different names are one field: names are QEMU's own and change with its
 * source, the bytes do not.
 */
export function aligned(old: StructDescription, pattern: StructDescription): AlignedField[] {
  const mine = fieldGroups(old);
  const theirs = fieldGroups(pattern);
  // Room has no name: the first in one may be the second in the other.
  const inOld = new Map(mine.filter((group) => !isUnused([group])).map((group) => [group.key, group]));
  const inPattern = new Set(theirs.filter((group) => !isUnused([group])).map((group) => group.key));
  const rows: AlignedField[] = [];
  let gap: { mine: FieldGroup[]; theirs: FieldGroup[] } = { mine: [], theirs: [] };
  let at = 0;
  const upTo = (key: string | undefined): void => {
    const end = key === undefined ? mine.length : mine.findIndex((group) => group.key === key);
    for (; at < end; at++) if (!inPattern.has(mine[at]!.key)) gap.mine.push(mine[at]!);
    rows.push(...gapRows(gap.mine, gap.theirs));
    gap = { mine: [], theirs: [] };
  };
  for (const group of theirs) {
    const own = inOld.get(group.key);
    if (own === undefined) {
      gap.theirs.push(group);
      continue;
    }
    upTo(group.key);
    rows.push({ key: group.key, theirs: group, mine: own });
  }
  upTo(undefined);
  return rows;
}

/** Fields between two that both structs have. */
function gapRows(mine: readonly FieldGroup[], theirs: readonly FieldGroup[]): AlignedField[] {
  const alike = mine.length === theirs.length && mine.every((group, i) => sameKind(group, theirs[i]!));
  if (alike) return mine.map((group, i) => ({ key: theirs[i]!.key, mine: group, theirs: theirs[i]! }));
  // A field became padding, or padding became a field: the old bytes have the right length.
  const unused = isUnused(mine) || isUnused(theirs);
  if (unused && lengthOf(mine) === lengthOf(theirs)) return mine.map((group) => ({ key: group.key, mine: group }));
  return [
    ...mine.map((group) => ({ key: group.key, mine: group })),
    ...theirs.map((group) => ({ key: group.key, theirs: group })),
  ];
}

function isUnused(groups: readonly FieldGroup[]): boolean {
  return groups.length > 0 && groups.every(({ entries }) => entries.every(({ type }) => type === "unused_buffer"));
}

/** Bytes of fields of fixed lengths. */
function lengthOf(groups: readonly FieldGroup[]): number {
  let sum = 0;
  for (const { entries } of groups) for (const { size, arrayLength = 1 } of entries) sum += size * arrayLength;
  return sum;
}

function sameKind(one: FieldGroup, other: FieldGroup): boolean {
  const [a, b] = [one.entries[0]!, other.entries[0]!];
  if (one.isArray !== other.isArray || one.entries.length !== other.entries.length) return false;
  if (base(a.type) !== base(b.type) || a.arrayLength !== b.arrayLength) return false;
  // 256 bytes, or 4096 of a device of PCI Express: two fields in QEMU's source, of which one is there.
  return a.size === b.size || a.type === "pci config";
}

/** `uint8 equal` and `uint8` are the same bytes. */
function base(type: string): string {
  return type.replace(/ (?:equal|le)$/u, "");
}
