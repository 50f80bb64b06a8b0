import type { StreamDiff } from "../analyse/diff/index.js";
import { WritableSink } from "../io/transport/writable.js";

/** Ranges that are written together. */
const TOGETHER = 1000;
/** How the empty list of ranges stands in the document: the first one there is. In a name its quotes would be escaped. */
const EMPTY = '"ranges": []';

/**
 * Prints the document, ranges of pages a line each as they go: of large guests there are more than one text can hold.
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

/** 64-bit integers appear as decimal strings. */
function plain(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}
