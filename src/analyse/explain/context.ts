import type { Survey } from "./survey.js";
import type { AdaptReach, About, Destination, Finding, Remedy, VersionRule } from "./types.js";

/** What a cause may use besides the text itself. */
export interface Context {
  survey: Survey;
  /** Name of the file, for commands. */
  file: string;
  destination: Destination;
  rules: readonly VersionRule[];
  /** What `qevm adapt` reaches; undefined: no further. */
  reach: AdaptReach | undefined;
  /** The containers of the stream, from the outside in. */
  containers: readonly string[];
  /** All texts that were found, in their order. */
  matches: readonly Match[];
}

/** The named groups of a text's pattern. */
export type Parts = Readonly<Record<string, string | undefined>>;

export interface Match {
  text: KnownText;
  parts: Parts;
  words: string;
  index: number;
}

/** One, several or none: undefined and false are left out. */
type Some<T> = T | undefined | false | readonly (T | undefined | false)[];

/** What a cause returns: the parts of a `Finding`, in which anything that is not known may be undefined. */
export interface Answer {
  about: { [Key in keyof About]: About[Key] | undefined };
  here?: Some<string>;
  why: Some<string>;
  remedies?: Some<Remedy>;
}

function isList<T>(some: Some<T>): some is readonly (T | undefined | false)[] {
  return Array.isArray(some);
}

function listOf<T>(some: Some<T>): T[] {
  return (isList(some) ? some : [some]).flatMap((one) => (one === undefined || one === false ? [] : [one]));
}

/** What a text means for this file, without what is not known. */
export function explainMatch(
  { text, parts }: Match,
  context: Context,
): Pick<Finding, "about" | "here" | "why" | "remedies"> {
  const { about, here, why, remedies } = text.explain(parts, context);
  const known: About = Object.fromEntries(Object.entries(about).filter(([, value]) => value !== undefined));
  return { about: known, here: listOf(here), why: listOf(why), remedies: listOf(remedies) };
}

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
  if (rest !== undefined) return `, as far as it was understood (not from byte 0x${rest.streamOffset.toString(16)} on)`;
  return ": the text is about another file";
}

/** Where the first damage is. */
export function damageOffset({ survey }: Context): number | undefined {
  return survey.damage[0]?.offset;
}

/** The remedy that looks for damage. */
export function verify({ file }: Context, what = "find the first wrong byte"): Remedy {
  return { what, command: ["qevm", "verify", file] };
}

/**
 * Damage in the file at or near the place of a text, listed after the explanation of the text.
 * @param otherwise the notes for a file without damage
 */
export function damageNote({ survey }: Context, ...otherwise: string[]): string[] {
  const [first] = survey.damage;
  return first === undefined ? otherwise : [`the file is damaged: ${first.message}`];
}

/** The number that a text has; undefined where it has none. */
export function numberOf(text: string | undefined, radix = 10): number | undefined {
  return text === undefined ? undefined : Number.parseInt(text, radix);
}

/** The keys of `about` that say which device it is. */
export function ofDevice(
  device: Pick<Survey["devices"][number], "name" | "instance" | "offset"> | undefined,
): Pick<Answer["about"], "section" | "instance" | "streamOffset"> {
  return { section: device?.name, instance: device?.instance, streamOffset: device?.offset };
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
