import type { Survey } from "./survey.js";
import type { Destination, Finding, VersionRule } from "./types.js";

/** What a cause may use besides the words of its text. */
export interface Context {
  survey: Survey;
  /** Name of the file, for commands. */
  file: string;
  destination: Destination;
  rules: readonly VersionRule[];
  /** The containers of the stream, from the outside in. */
  containers: readonly string[];
  /** All texts that were found, in their order. */
  matches: readonly Match[];
}

/** The parts of a text that have names. */
export type Parts = Readonly<Record<string, string | undefined>>;

export interface Match {
  text: KnownText;
  parts: Parts;
  words: string;
  index: number;
}

export type Answer = Pick<Finding, "about" | "here" | "why" | "remedies">;

/** A text that QEMU is known to say. */
export interface KnownText {
  /** Stable key. */
  cause: string;
  /** Anywhere in the input text; named groups are its parts. */
  pattern: RegExp;
  /** As `Finding.rank`. */
  rank: Finding["rank"];
  /** Releases that were observed to print it; none: known from the texts in QEMU's program alone. */
  heard: readonly string[];
  explain: (parts: Parts, context: Context) => Answer;
}

/**
 * What it means that something a text names is not in the file: where all of the file was read, the text is about
 * another one; else nothing follows.
 */
export function elsewhere({ survey }: Context): string {
  const [first] = survey.damage;
  if (first !== undefined)
    return `, as far as it could be read (damage${first.offset === undefined ? "" : ` at byte 0x${first.offset.toString(16)}`})`;
  const [rest] = survey.inspection.undecoded;
  if (rest !== undefined) return `, as far as it was understood (not from byte 0x${rest.offset.toString(16)} on)`;
  return ": the text is about another file";
}

/** Damage in the file at or near the place of a text, listed after the explanation of the text. */
export function damageNote({ survey }: Context): string[] {
  const [first] = survey.damage;
  return first === undefined ? [] : [`the file is damaged: ${first.message}`];
}

/** The device that the other texts name: "error while loading state for instance 0x0 of device 'X'". */
export function deviceNamed({ matches, survey }: Context): Survey["devices"][number] | undefined {
  for (const { parts } of matches) {
    const { device, instance } = parts;
    if (device === undefined) continue;
    const number = Number(instance ?? "0");
    const found = survey.devices.find((one) => one.name === device && one.instance === number);
    if (found !== undefined) return found;
  }
  return undefined;
}
