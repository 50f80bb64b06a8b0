import { isFolder } from "../../io/container/is-folder.js";
import { openRecording } from "../../io/container/recording.js";
import type { InputOptions } from "../../io/container/types.js";
import { bundle } from "../../analyse/fuzz/bundle.js";
import { QevmError } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/index.js";
import { readBelow } from "../../io/transport/below.js";
import { openSource } from "../../io/transport/file.js";
import type { Outcomes } from "../../analyse/fuzz/tally.js";
import { columns } from "../../analyse/fuzz/tally.js";
import { streamOffset, UsageError, type Arguments } from "../arguments.js";
import { openFile } from "../document.js";
import { count, table } from "../output.js";

/** The maximum size of an input for damage, which is done on the whole input. */
const LONGEST = 256 * 1024 * 1024;

/** Which stream in a file, for `readWhole`. */
export function placeOf(args: Arguments): InputOptions {
  return { snapshot: args.text("snapshot"), offset: streamOffset(args) };
}

interface CaseChoice {
  seed: number;
  cases: number | undefined;
  kinds: string[] | undefined;
  repair: boolean | undefined;
}

export function caseChoice(args: Arguments): CaseChoice {
  const repair = args.text("repair");
  if (repair !== undefined && repair !== "always" && repair !== "never") {
    throw new UsageError(`--repair takes always or never, not ${JSON.stringify(repair)}`);
  }
  return {
    seed: args.number("seed", { min: 0, max: Number.MAX_SAFE_INTEGER / 2 }) ?? 1,
    cases: args.number("cases", { min: 1, max: 1e12 }),
    kinds: args.text("kinds")?.split(","),
    repair: repair === undefined ? undefined : repair === "always",
  };
}

/** A whole input: the files of a recording, the stream inside its containers, or the raw file. */
export async function readWhole(path: string, asIs: boolean, how: InputOptions = {}): Promise<Uint8Array> {
  if (asIs && how.snapshot !== undefined) throw new UsageError("--as-is is for the image itself: no --snapshot");
  if (asIs && how.offset !== undefined) throw new UsageError("--as-is is for the file itself: no --stream-offset");
  if (isFolder(path) && how.snapshot === undefined && how.offset === undefined) return readRecording(path);
  const source = asIs ? openSource(path) : await openFile(path, how);
  try {
    const reader = new QemuFileReader(source);
    if (!(await reader.fillToEnd(LONGEST))) {
      throw new QevmError("limit", `${path} is too long to be damaged`, { expected: `at most ${LONGEST} bytes` });
    }
    if (reader.available === 0) throw new QevmError("truncated", `${path} is empty`, { offset: 0 });
    return reader.bytes(reader.available);
  } finally {
    await source.close?.();
  }
}

function readRecording(folder: string): Uint8Array {
  const { main, multifd, preempt, returnPath, resumed = [] } = openRecording(folder, { lenient: true });
  const channels = [main, ...multifd, ...preempt, ...returnPath, ...resumed];
  const total = channels.reduce((sum, { length }) => sum + length, 0);
  if (total > LONGEST) {
    throw new QevmError("limit", `${folder} is too long to be damaged`, { expected: `at most ${LONGEST} bytes` });
  }
  return bundle(
    channels.map(({ name }) => ({
      name,
      bytes: Uint8Array.from(readBelow(folder, name)),
    })),
  );
}

/** Kinds of damage against outcomes, in two columns: accepted or refused. */
export function shortTable(outcomes: Outcomes): string[] {
  const short: Outcomes = {};
  for (const [kind, row] of Object.entries(outcomes)) {
    const { accepted = 0, opaque = 0 } = row;
    const all = Object.values(row).reduce((sum, n) => sum + n, 0);
    short[kind] = { accepted, opaque, refused: all - accepted - opaque };
  }
  return outcomeTable(short);
}

/** Kinds of damage against outcomes. */
export function outcomeTable(outcomes: Outcomes): string[] {
  const names = columns(outcomes);
  const rows = Object.entries(outcomes).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return table([
    ["kind of damage", ...names],
    ...rows.map(([kind, row]) => [kind].concat(names.map((name) => count(row[name] ?? 0)))),
  ]);
}
