/** Texts whose explanation is the same for every file; only the place in the file differs. */
import {
  damageNote,
  damageOffset,
  elsewhere,
  type Answer,
  type Context,
  type KnownText,
  type Parts,
} from "../context.js";
import type { Finding, Remedy } from "../types.js";
import { blockIn } from "./blocks.js";
import { deviceWords } from "./devices.js";
import { findSection, placeOf } from "./sections.js";

/** A row of the tables. `FILE` in a command becomes the file's name, `{part}` in why that part of the text. */
export type PlainRow = [
  cause: string,
  rank: Finding["rank"],
  pattern: RegExp,
  why: string,
  remedies?: readonly Remedy[],
];

/** @param heard releases that were seen to print a text; texts not in it come from the program's format strings */
export function plainTexts(
  rows: readonly PlainRow[],
  heard: Readonly<Record<string, readonly string[]>> = {},
): KnownText[] {
  return rows.map(([cause, rank, pattern, why, remedies = []]) => ({
    cause,
    rank,
    pattern,
    heard: heard[cause] ?? [],
    explain: (parts, context) => {
      const filled = why.replaceAll(/\{(\w+)\}/gu, (_, name: string) => parts[name] ?? "?");
      return { ...placeIn(parts, context), why: filled, remedies: remedies.map((one) => forFile(one, context.file)) };
    },
  }));
}

function forFile(remedy: Remedy, file: string): Remedy {
  const { command } = remedy;
  return command === undefined
    ? remedy
    : { ...remedy, command: command.map((word) => (word === "FILE" ? file : word)) };
}

/** Where the file has the section, device or block that the text names. */
function placeIn({ section, device, block }: Parts, context: Context): Pick<Answer, "about" | "here"> {
  const { survey } = context;
  if (block !== undefined) {
    return {
      about: { block, streamOffset: survey.blocks.get(block)?.offset },
      here: blockIn(block, context, elsewhere(context)),
    };
  }
  const name = section ?? device;
  if (name !== undefined) {
    const state = survey.devices.find((one) => one.name === name || one.name.endsWith(`/${name}`));
    if (state !== undefined)
      return { about: { section: state.name, streamOffset: state.offset }, here: deviceWords(state) };
    const found = findSection(context, name);
    if (found !== undefined)
      return { about: { section: name, streamOffset: found.streamOffset }, here: placeOf(found) };
  }
  return { about: { streamOffset: damageOffset(context) }, here: damageNote(context) };
}
