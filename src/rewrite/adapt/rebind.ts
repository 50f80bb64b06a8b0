import {
  fieldGroups,
  isStructState,
  type FieldDescription,
  type FieldValue,
  type StructDescription,
  type StructState,
} from "../../codec/vmstate/index.js";

/** The same values under another description of the same shape: elements of one array share theirs. */
export function rebind(state: StructState, description: StructDescription): StructState {
  if (state.description === description) return state;
  const fields: Record<string, FieldValue> = Object.create(null) as Record<string, FieldValue>;
  for (const { key, entries } of fieldGroups(description)) {
    const value = state.fields[key]!;
    if (isStructState(value)) fields[key] = bound(value, entries[0]!);
    else if (Array.isArray(value)) {
      fields[key] = value.map((one, i) => (isStructState(one) ? bound(one, entries[i] ?? entries[0]!) : one));
    } else fields[key] = value;
  }
  const subsections = state.subsections.map((one, i) => {
    const to = description.subsections?.[i];
    return to === undefined ? one : rebind(one, to);
  });
  return { description, fields, subsections };
}

function bound(value: StructState, entry: FieldDescription): StructState {
  const to = describedBy(entry);
  return to === undefined ? value : rebind(value, to);
}

/** The struct that a field object describes. */
export function describedBy(entry: FieldDescription): StructDescription | undefined {
  return entry.type === "struct" ? (entry.struct ?? undefined) : entry.inlined?.[0];
}
