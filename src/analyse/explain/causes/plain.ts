/** Texts whose explanation is the same for every file, but for where the file has what they name. */
import { damageNote, elsewhere, type Context, type KnownText } from "../context.js";
import type { About, Finding, Remedy } from "../types.js";
import { quoted } from "../words.js";
import { blockWords } from "./blocks.js";
import { deviceWords } from "./devices.js";
import { findSection, placeOf } from "./sections.js";

/** A row of the tables: `FILE` in a command is the file that is explained. */
export type PlainRow = [
  cause: string,
  rank: Finding["rank"],
  pattern: RegExp,
  why: string,
  remedies?: readonly Remedy[],
];

/** What is known of it is from the program's format strings, unless `heard` says otherwise. */
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
      const [about, here] = placeIn(parts, context);
      const filled = why.replaceAll(/\{(\w+)\}/gu, (_, name: string) => parts[name] ?? "?");
      return { about, here, why: [filled], remedies: remedies.map((one) => forFile(one, context.file)) };
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
function placeIn({ section, device, block }: Parameters<KnownText["explain"]>[0], context: Context): [About, string[]] {
  const { survey } = context;
  const name = section ?? device;
  if (block !== undefined) {
    const found = survey.blocks.get(block);
    if (found === undefined) return [{ block }, [`this file has no block ${quoted(block)}${elsewhere(context)}`]];
    return [{ block, ...(found.offset === undefined ? {} : { offset: found.offset }) }, [blockWords(block, found)]];
  }
  if (name !== undefined) {
    const state = survey.devices.find((one) => one.name === name || one.name.endsWith(`/${name}`));
    if (state !== undefined) return [{ section: state.name, offset: state.offset }, [deviceWords(state)]];
    const found = findSection(context, name);
    if (found !== undefined) return [{ section: name, offset: found.offset }, [placeOf(found)]];
  }
  const [first] = survey.damage;
  return [first?.offset === undefined ? {} : { offset: first.offset }, damageNote(context)];
}
