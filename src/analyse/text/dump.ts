import { hex } from "../../bytes/errors.js";
import { safe } from "../../bytes/text.js";
import type { DumpField, DumpUnit } from "../dump/types.js";

/** What is at a byte of the stream. */
export function byteLines(
  at: number,
  unit: Pick<DumpUnit, "item" | "what" | "offset" | "length">,
  field: DumpField,
): string[] {
  return [
    `byte ${hex(at)} (${at})`,
    `  ${safe(unit.item)}`,
    `  ${place(unit)}: ${safe(unit.what)}`,
    `  ${place(field)}: ${fieldText(field)}${field.offset === at ? "" : `, byte ${at - field.offset} of it`}`,
  ];
}

/** `0x2a, 8 bytes` */
export function place({ offset, length }: { offset: number; length: number }): string {
  return `${hex(offset)}, ${length} ${length === 1 ? "byte" : "bytes"}`;
}

/** `env.eip = 0xfff0` */
export function fieldText({ name, value }: DumpField): string {
  return `${safe(name)}${value === undefined ? "" : ` = ${safe(value)}`}`;
}
