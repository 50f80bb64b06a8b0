import { hex } from "../../bytes/errors.js";
import { safe } from "../../bytes/text.js";
import type { DumpField, DumpUnit } from "../dump/types.js";

/** What is at a byte of the stream. */
export function byteLines(
  at: number,
  unit: Pick<DumpUnit, "part" | "unit" | "streamOffset" | "length">,
  field: DumpField,
): string[] {
  return [
    `byte ${hex(at)} (${at})`,
    `  ${safe(unit.part)}`,
    `  ${place(unit)}: ${safe(unit.unit)}`,
    `  ${place(field)}: ${fieldText(field)}${field.streamOffset === at ? "" : `, byte ${at - field.streamOffset} of it`}`,
  ];
}

/** `0x2a, 8 bytes` */
export function place({ streamOffset: offset, length }: { streamOffset: number; length: number }): string {
  return `${hex(offset)}, ${length} ${length === 1 ? "byte" : "bytes"}`;
}

/** `env.eip = 0xfff0` */
export function fieldText({ field: name, value }: DumpField): string {
  return `${safe(name)}${value === undefined ? "" : ` = ${safe(value)}`}`;
}
