import { isStructState, measureStruct, type DeviceState, type StructState } from "../../codec/vmstate/index.js";

/**
 * The old state with the struct around it that the destination has, or without the one that it lacks: QEMU 11.1 saves
 * the whole state of `isa-vga` as a field of its own section, 10.0 and earlier as the section. Undefined where the two
 * are not so.
 */
export function rewrapped(old: DeviceState, pattern: DeviceState): DeviceState | undefined {
  if (old.description.vmsdName === pattern.description.vmsdName) return undefined;
  const theirs = onlyStruct(pattern);
  if (theirs !== undefined && theirs.state.description.vmsdName === old.description.vmsdName) {
    const { description, fields, subsections } = old;
    const inside: StructState = { description, fields, subsections };
    const { subsections: _, size: _size, ...outer } = pattern.description;
    const field = { ...pattern.description.fields[0]!, struct: description, size: measureStruct(inside) };
    return {
      description: { ...outer, fields: [field] },
      fields: { [theirs.key]: inside },
      subsections: [],
      bytes: old.bytes,
    };
  }
  const mine = onlyStruct(old);
  if (mine === undefined || mine.state.description.vmsdName !== pattern.description.vmsdName) return undefined;
  const { name, instanceId } = old.description;
  return { ...mine.state, description: { ...mine.state.description, name, instanceId }, bytes: old.bytes };
}

/** The one field of a state, where it is a struct. */
function onlyStruct({ fields, subsections }: StructState): { key: string; state: StructState } | undefined {
  const [[key, state] = ["", null], ...more] = Object.entries(fields);
  if (more.length > 0 || subsections.length > 0 || !isStructState(state)) return undefined;
  return { key, state };
}
