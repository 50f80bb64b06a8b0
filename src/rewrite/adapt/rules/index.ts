import { FIELD_RULES, LAYOUT_FIELDS } from "./fields.js";
import { mergePciConfig } from "./pci-config.js";
import { SUBSECTION_RULES } from "./subsections.js";
import type { FieldRule, PrivateMerge, SubsectionRule } from "./types.js";
import { mergeGpu } from "./virtio-gpu.js";
import { mergeVirtio } from "./virtio.js";

export { BLOCK_RENAMES, BROKEN_LOADS, SECTION_RENAMES, SECTION_RULES } from "./sections.js";

/** What is merged inside private fields, by their type in the description. */
export const PRIVATE_MERGES: ReadonlyMap<string, PrivateMerge> = new Map([
  ["pci config", mergePciConfig],
  ["virtio", mergeVirtio],
  ["virtio-gpu", mergeGpu],
]);

/** The rule of a field whose presence depends on how the machine is made. */
export function configuredField(vmsd: string | undefined, field: string): FieldRule | undefined {
  return FIELD_RULES.find((rule) => rule.vmsd === vmsd && rule.fields.includes(field));
}

/** The rule of a field that says how others are laid out. */
export function layoutField(vmsd: string | undefined, field: string): FieldRule | undefined {
  return LAYOUT_FIELDS.find((rule) => rule.vmsd === vmsd && rule.fields.includes(field));
}

/** The rule of a subsection that the destination does not know. */
export function subsectionRule(name: string): SubsectionRule | undefined {
  return SUBSECTION_RULES.find((rule) => rule.subsection === name);
}
