/** Writes the table in corpus/README.md from the existing entries. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { QevmError } from "../../src/bytes/errors.js";
import type { CorpusEntry } from "../corpus.js";
import type { LoadCheck } from "../destination/check.js";

const begin = "<!-- table: npm run capture -->";
const end = "<!-- end of table -->";

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

function verdict(load: LoadCheck | null): string {
  if (load === null) return "not tried";
  if (!load.loaded) return load.signal === null ? "no" : `no, ${load.signal}`;
  const checks = [load.differentBlocks.length === 0, load.pmemsaveEqual !== false, load.registersEqual !== false];
  return checks.every(Boolean) ? "yes, equal" : "yes, different";
}

/** One row per capture: its purpose, its producer, its size, and how much of its truth is known. */
export function tableOf(entries: readonly CorpusEntry[]): string {
  const head = ["entry", "QEMU", "machine", "shows", "stream", "packed", "truth", "loaded by the same QEMU"];
  const rows = entries.map(({ name, folder, capture, truth }) => {
    const known = truth.blocks.filter(({ sha256 }) => sha256 !== null).length;
    const packed = statSync(join(folder, "stream.gz")).size;
    return [
      `\`${name}\``,
      capture.version,
      capture.machine,
      capture.shows,
      capture.stream.length.toLocaleString("en"),
      packed.toLocaleString("en"),
      `${known} of ${truth.blocks.length} blocks`,
      verdict(truth.destination),
    ];
  });
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Replaces the table between its two marks in a page. Throws `QevmError` when the page has no marks. */
export function writeTable(page: string, entries: readonly CorpusEntry[]): void {
  if (!existsSync(page)) throw new QevmError("io", `${page} is missing`);
  const text = readFileSync(page, "utf8");
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) throw new QevmError("bad-value", `${page} has no marks for its table`);
  writeFileSync(page, `${text.slice(0, from + begin.length)}\n\n${tableOf(entries)}\n\n${text.slice(to)}`);
}
