import type { Pair } from "../diff/index.js";
import { count } from "../../bytes/text.js";

/** Width of a report in columns. */
export const WIDTH = 80;

/** Adds a line with the number of entries that are not shown. */
export function rest(lines: string[], more: number, indent = ""): void {
  if (more > 0) lines.push(`${indent}and ${count(more)} more (-v lists all)`);
}

/** `A 0x8, B 0x9`, `0x8` where they are the same; empty where neither is known. */
export function place({ a, b }: Pair<number | null>): string {
  if (a === null && b === null) return "";
  if (a === b) return `at ${hex(a!)}`;
  return [...(a === null ? [] : [`A ${hex(a)}`]), ...(b === null ? [] : [`B ${hex(b)}`])].join(", ");
}

export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** Clips a line to the width. */
export function clip(text: string, width = WIDTH): string {
  return text.length <= width ? text : `${text.slice(0, width - 3)}...`;
}

/** The end of a path, its most specific part. */
export function tail(text: string, width: number): string {
  return text.length <= width ? text : `...${text.slice(text.length - width + 3)}`;
}
