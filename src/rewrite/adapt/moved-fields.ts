import { fieldGroups, isStructState, type StructState } from "../../codec/vmstate/index.js";
import type { MergeContext } from "./context.js";

/**
 * The old state with those of its structs in a subsection that the destination has there: the PCI part of pvscsi is a
 * field of machine types up to 2.5, and in `pvscsi/pcie` of those after (hw/scsi/vmw_pvscsi.c, x-disable-pcie, 7.2;
 * 11.1 has only the second).
 */
export function withMovedFields(old: StructState, pattern: StructState, ctx: MergeContext): StructState {
  let state = old;
  for (const theirs of pattern.subsections) {
    const name = theirs.description.vmsdName ?? "";
    if (state.subsections.some((one) => one.description.vmsdName === name)) continue;
    const [only, ...more] = fieldGroups(theirs.description);
    const group = fieldGroups(state.description).find(({ key }) => key === only?.key);
    if (only === undefined || more.length > 0 || group === undefined || only.key in pattern.fields) continue;
    const value = state.fields[group.key]!;
    if (!isStructState(value)) continue;
    ctx.within(only.key, () => ctx.note("moved-field", "form", "a field", `in ${name}`, MOVED));
    const added: StructState = {
      description: { ...theirs.description, fields: [...group.entries], subsections: [] },
      fields: { [group.key]: value },
      subsections: [],
    };
    const { [group.key]: _, ...fields } = state.fields;
    const subsections = [...state.subsections, added];
    state = {
      fields,
      subsections,
      description: {
        ...state.description,
        fields: state.description.fields.filter((entry) => !group.entries.includes(entry)),
        subsections: subsections.map((one) => one.description),
      },
    };
  }
  return state;
}

const MOVED = "a part of the state that is in a subsection of the destination";
