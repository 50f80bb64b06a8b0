import { voice } from "../analyse/text/voice.js";

/** `--color`. */
let color: "auto" | "always" | "never" = "auto";

/** Sets the voice by the options of a command line. */
export function speak(options: Readonly<Record<string, unknown>>): void {
  const { color: given } = options;
  voice.quiet = options["quiet"] === true;
  voice.verbose = options["verbose"] === true;
  color = given === "always" || given === "never" ? given : "auto";
}

/**
 * Whether a stream gets colours: `--color` decides, then NO_COLOR (no-color.org) and FORCE_COLOR where they are not
 * empty, then whether it is a terminal.
 */
export function hasColor(stream: { isTTY?: boolean }, environment: NodeJS.ProcessEnv = process.env): boolean {
  if (color !== "auto") return color === "always";
  const { NO_COLOR: none = "", FORCE_COLOR: forced = "", TERM: terminal = "" } = environment;
  if (none !== "") return false;
  if (forced !== "") return forced !== "0";
  return stream.isTTY === true && terminal !== "dumb";
}

const CODES = { bad: 31, good: 32, doubtful: 33, heading: 1, advice: 36 } as const;

/** What of a finished line gets a colour. Colours are laid over lines last, so that widths are those of the text. */
const RULES: readonly [pattern: RegExp, code: keyof typeof CODES][] = [
  [/^DIFFERENT\b.*/u, "bad"],
  [/^(?:Identical|The same)\b.*/u, "good"],
  [/\b(?:DIFFERENT|DAMAGED|NOT complete|NOT READ to its end|UNCERTAIN)\b/gu, "bad"],
  [/: identical\b(?! up to)/u, "good"],
  [/^(?:Not understood|not understood|Not checked|Refused)\b[^:]*/u, "doubtful"],
  [/^ *-> .*/u, "advice"],
  [/^warning:/u, "doubtful"],
  [/\brefused at byte 0x[0-9a-f]+/u, "bad"],
  [/^(?:RAM|Sections|Commands|device [^:]*|QEMU says):/u, "heading"],
];

/** A finished line with its colours. */
export function colored(line: string): string {
  for (const [pattern, code] of RULES) {
    const changed = line.replace(pattern, (part) => `\u001b[${CODES[code]}m${part}\u001b[0m`);
    if (changed !== line) return changed;
  }
  return line;
}
