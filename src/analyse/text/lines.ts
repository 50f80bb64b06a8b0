import type { QevmError, Warning } from "../../bytes/errors.js";
import { escaped } from "../../bytes/text.js";

/** Terminal control characters except line breaks. */
// oxlint-disable-next-line no-control-regex -- control characters are what must be escaped
const CONTROL = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/g;

/** A message whose names come from a stream: its control characters are escaped, line breaks are not. */
export function escapedControls(message: string): string {
  return message.replace(CONTROL, escaped);
}

/** `warning: at byte 0x2a, section 2 "ram": ...` */
export function warningText({ message, offset, path, replaced }: Warning): string {
  const where = [...(offset === undefined ? [] : [`at byte 0x${offset.toString(16)}`]), ...path].join(", ");
  const more = replaced === undefined ? "" : `; ${inPlace(replaced)}`;
  return `warning: ${where}${where === "" ? "" : ": "}${message}${more}`;
}

/** The replacement for a damaged page, as text. */
function inPlace({ block, blockOffset: page, by }: NonNullable<Warning["replaced"]>): string {
  return `replaced page of ${JSON.stringify(block)} at 0x${page.toString(16)}: ${by}`;
}

/** Longer cells shift only the rest of their own row, so that one long name does not widen the whole table. */
const WIDEST = 64;

/** Aligns columns, the first one left, the others right. */
export function table(rows: readonly (readonly string[])[], left: readonly number[] = [0]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, Math.min(cell.length, WIDEST))));
  return rows.map((row) =>
    `  ${row.map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ")}`.trimEnd(),
  );
}

/**
 * `first`, then the parts with `separator` between them, wrapped at 80 columns; continuation lines begin with `indent`.
 */
export function wrapped(first: string, parts: readonly string[], separator = ", ", indent = "  "): string[] {
  const lines = [first];
  parts.forEach((part, i) => {
    const end = i + 1 < parts.length ? separator.trimEnd() : "";
    const line = lines.at(-1)!;
    const space = i === 0 || line.endsWith(separator.trimEnd()) ? " " : "";
    if (line.length + space.length + part.length + end.length > 80) lines.push(`${indent}${part}${end}`);
    else lines[lines.length - 1] = `${line}${space}${part}${end}`;
  });
  return lines;
}

/** `vm.mig: refused at byte 0x1a5ae3d, section 2 "ram" > record 812`, then the error, indented. */
export function refusal(file: string, error: QevmError): string {
  const where = [
    `at byte 0x${(error.offset ?? 0).toString(16)}`,
    ...(error.path.length > 0 ? [error.path.join(" > ")] : []),
  ];
  let what = error.what;
  if (error.expected !== undefined) what += `: expected ${error.expected}`;
  if (error.found !== undefined) what += `${error.expected === undefined ? ":" : ","} found ${error.found}`;
  return `${file}: refused ${where.join(", ")}\n  ${what}`;
}
