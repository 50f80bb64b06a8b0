import type { Match } from "./context.js";
import { logLines } from "./log-lines.js";
import { KNOWN_TEXTS } from "./texts.js";

/** What is known of a text, and the unrecognized lines. */
export interface Matched {
  /** In the order in which QEMU said them. */
  matches: Match[];
  unknown: string[];
  /** Lines that are known to be unrelated to the stream. */
  harmless: string[];
}

/** Warnings that QEMU prints while it starts, without stopping (5.2 to 11.1). */
const HARMLESS: readonly RegExp[] = [
  /warning: nic \S+ has no peer/u,
  /warning: Machine type '[^']*' is deprecated/u,
  /warning: multiple floppy disk controllers/u,
  /the one being picked for CMOS setup/u,
  /warning: TCG doesn't support requested feature/u,
];

/** Texts that are explained: a log in which more were found repeats them. */
const MOST_MATCHES = 500;

function isHarmless(line: string): boolean {
  return HARMLESS.some((pattern) => pattern.test(line));
}

/** Finds every known text in what QEMU printed: one line or several, with any text before and between. */
export function matchTexts(given: string): Matched {
  const text = logLines(given);
  const taken: [number, number][] = [];
  const matches: Match[] = [];
  for (const known of KNOWN_TEXTS) {
    for (const found of text.matchAll(new RegExp(known.pattern, `${known.pattern.flags}g`))) {
      const [words] = found;
      const [start, end] = [found.index, found.index + words.length];
      if (matches.length >= MOST_MATCHES) break;
      if (words === "" || taken.some(([from, to]) => start < to && end > from)) continue;
      taken.push([start, end]);
      matches.push({ text: known, parts: { ...found.groups }, words, index: start });
    }
  }
  const left = unknownLines(text, taken);
  return {
    matches: unique(matches.toSorted((a, b) => a.index - b.index)),
    unknown: left.filter((line) => !isHarmless(line)),
    harmless: left.filter(isHarmless),
  };
}

/** A text that comes twice with the same words is said once. */
function unique(matches: readonly Match[]): Match[] {
  return matches.filter((one, i) => matches.findIndex(({ words }) => words === one.words) === i);
}

/** Lines with words of which no known text took any. */
function unknownLines(text: string, taken: readonly [number, number][]): string[] {
  const unknown: string[] = [];
  let at = 0;
  for (const line of text.split("\n")) {
    const end = at + line.length;
    const touched = taken.some(([from, to]) => from < end && to > at);
    if (!touched && line.trim() !== "") unknown.push(line.trim());
    at = end + 1;
  }
  return unknown;
}

/** Names in a line that a file may have: quoted ones, words with a slash, and PCI addresses. */
export function namesIn(line: string): string[] {
  const quoted = [...line.matchAll(/['"]([^'"]+)['"]/gu)].map(([, name]) => name ?? "");
  const words = line.split(/[\s,;()=]+/u).map((word) => word.replace(/[:.'"]+$/u, "").replace(/^['"]/u, ""));
  return [...new Set([...quoted, ...words])].filter((name) => name.length > 2);
}
