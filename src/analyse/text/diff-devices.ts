import type { DeviceDiff, FieldDifference } from "../diff/index.js";
import { registerName } from "../../guest/cores/register-names.js";
import type { PlainValue } from "../../codec/vmstate/index.js";
import { clip, hex, place, rest, WIDTH } from "./diff-text.js";
import { count, numberText, safe } from "../../bytes/text.js";
import { most } from "./voice.js";

/** Maximum number of values printed for one device, and in total. */
const MOST_OF_ONE = 8;
const MOST = 32;

/** The devices that differ, with their first values. */
export function deviceLines(devices: readonly DeviceDiff[], machine: string | null): string[] {
  if (devices.length === 0) return [];
  const lines: string[] = [];
  let left = most(MOST);
  for (const [index, { section: name, instance, streamOffset: offset, fields }] of devices.entries()) {
    if (left === 0) {
      const more = devices.length - index;
      lines.push(`and ${count(more)} more ${more === 1 ? "device" : "devices"} (-v lists all)`);
      break;
    }
    const values = `${count(fields.length)} ${fields.length === 1 ? "value" : "values"}`;
    lines.push(clip(`device ${safe(name)}/${instance}: ${values}  (section ${place(offset)})`));
    const shown = fields.slice(0, Math.min(left, most(MOST_OF_ONE)));
    for (const field of shown) lines.push(...fieldLines(field, registerName(machine, name, field.field)));
    left -= shown.length;
    rest(lines, fields.length - shown.length, "  ");
  }
  return lines;
}

/** `  env.eip: 0xfff0 | 0xfff1  (A 0x1a2b, B 0x1a2c)`, on several lines if long. */
function fieldLines(field: FieldDifference, register: string | undefined): string[] {
  const where = `  (${place(field.streamOffset)})`;
  const path = `${safe(field.field)}${register === undefined ? "" : ` (${register})`}`;
  const text = fieldText(field);
  const line = `  ${path}: ${text.join(" | ")}${where}`;
  if (line.length <= WIDTH) return [line];
  if (text.length === 1) return [clip(`  ${path}:${where}`), clip(`    ${text[0]}`)];
  return [clip(`  ${path}:${where}`), clip(`    A: ${text[0]}`), clip(`    B: ${text[1]}`)];
}

/** The text for both streams, or one for each. */
function fieldText(field: FieldDifference): [string] | [string, string] {
  switch (field.kind) {
    case "only":
      return [`in ${field.side === "a" ? "A" : "B"} only: ${valueText(field.value)}`];
    case "length":
      return [`${count(field.a)} elements`, `${count(field.b)} elements`];
    case "type":
      return [`type ${safe(field.a)}`, `type ${safe(field.b)}`];
    case "version":
      return [`version ${field.a}`, `version ${field.b}`];
    case "bytes": {
      const [first] = field.ranges;
      const more = field.ranges.length - 1;
      const at = `[${hex(first!.fieldOffset)}..${hex(first!.fieldOffset + first!.length)}]`;
      const others = more === 0 ? "" : `, ${count(more)} more ${more === 1 ? "range" : "ranges"}`;
      return [`${at} ${bytesText(first!.a)}`, `${bytesText(first!.b)}${others}`];
    }
    default:
      return [valueText(field.a), valueText(field.b)];
  }
}

/** Maximum number of hex digits printed of a run of bytes. */
const DIGITS = 32;

function bytesText(digits: string): string {
  if (digits === "") return "none";
  return digits.length <= DIGITS ? digits : `${digits.slice(0, DIGITS)}...`;
}

function valueText(value: PlainValue): string {
  if (typeof value === "number") return Number.isInteger(value) ? numberText(value) : String(value);
  if (typeof value === "string") return value === "" ? '""' : safe(value);
  if (Array.isArray(value)) return `[${value.map((element) => valueText(element)).join(" ")}]`;
  return safe(JSON.stringify(value, (_, inner: unknown) => (typeof inner === "bigint" ? `${inner}` : inner)));
}
