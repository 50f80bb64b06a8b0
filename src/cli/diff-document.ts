import type { StreamDiff } from "../analyse/diff/index.js";
import { WritableSink } from "../io/transport/writable.js";

/** Number of ranges written at a time. */
const TOGETHER = 1000;
/**
 * The empty list of ranges in the document. The first match is the right one, since quotes inside a name would be
 * escaped.
 */
const EMPTY = '"ranges": []';

/**
 * Prints the document, one page range per line, while they are read. Those of a large guest exceed the maximum length
 * of a string.
 */
export async function printDocument(diff: StreamDiff): Promise<void> {
  const { ranges } = diff.ram;
  const text = JSON.stringify({ ...diff, ram: { ...diff.ram, ranges: [] } }, plain, 2);
  const at = text.indexOf(EMPTY) + EMPTY.length - 1;
  const sink = new WritableSink(process.stdout, "standard output");
  await sink.write(Buffer.from(text.slice(0, at)));
  for (let i = 0; i < ranges.length; i += TOGETHER) {
    const lines = ranges.slice(i, i + TOGETHER).map((range) => `\n      ${JSON.stringify(range)}`);
    await sink.write(Buffer.from(`${i === 0 ? "" : ","}${lines.join(",")}`));
  }
  await sink.write(Buffer.from(`${ranges.length === 0 ? "" : "\n    "}${text.slice(at)}\n`));
}

/** Prints 64-bit integers as decimal strings. */
function plain(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}
