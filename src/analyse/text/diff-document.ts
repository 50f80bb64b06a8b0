import { hex } from "../../bytes/errors.js";
import type { PageRange, Pair, StreamDiff } from "../diff/index.js";
import { diffDocument } from "./documents.js";
import type { About } from "./envelope.js";
import { hexText } from "./json-pieces.js";

/** Number of ranges written at a time. */
const TOGETHER = 1000;
/**
 * The empty list of ranges in the document. The first match is the right one, since quotes inside a name would be
 * escaped.
 */
const EMPTY = '"ranges": []';

/**
 * The document of `qevm diff --json` in pieces, one page range per line. Those of a large guest exceed the maximum
 * length of a string.
 */
export function* printedDiff(about: About, files: Pair<string>, diff: StreamDiff): Generator<string> {
  const { ranges } = diff.ram;
  const document = diffDocument(about, files, { ...diff, ram: { ...diff.ram, ranges: [] } });
  const text = JSON.stringify(document, plain, 2);
  const at = text.indexOf(EMPTY) + EMPTY.length - 1;
  yield text.slice(0, at);
  for (let i = 0; i < ranges.length; i += TOGETHER) {
    const lines = ranges.slice(i, i + TOGETHER).map((range) => `\n        ${JSON.stringify(shownRange(range))}`);
    yield `${i === 0 ? "" : ","}${lines.join(",")}`;
  }
  yield `${ranges.length === 0 ? "" : "\n      "}${text.slice(at)}\n`;
}

/** Prints 64-bit integers as hex strings. */
function plain(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? hexText(value) : value;
}

/** Guest-physical addresses are hex strings, as all addresses. */
function shownRange({ block, blockOffset, length, physical, first }: PageRange): object {
  return { block, blockOffset, length, physical: physical === null ? null : hex(physical), first };
}
