import { QevmError } from "../bytes/errors.js";
import { WritableSink } from "../io/transport/writable.js";
import { UsageError, type Arguments } from "./arguments.js";
import type { Told } from "../analyse/text/envelope.js";
import { jsonLine } from "../analyse/text/json-pieces.js";
import { refusal } from "../analyse/text/lines.js";
import { aboutFile, documentOf, failure, printResult } from "./document.js";
import { print, safe, tell } from "./output.js";
import { withFullDisk } from "./run.js";
import { statusOf } from "./status.js";

/** What a command found in one file. */
export interface OneFile {
  /** The result, as JSON has it in its envelope. */
  document: readonly [result: object, told: Told];
  /** The text report. */
  lines: readonly string[];
  /** Prints the warnings, before the report. */
  warn: () => void;
  /** Exit status of this file. */
  status: number;
}

/**
 * Runs a command on each FILE, one after another. With several, or with `--jsonl`, a file that is refused costs its own
 * report or line, which holds the error, and not the run. Returns the highest exit status, as `grep` does.
 * @param one what to do with one file
 * @param many the last line of a text report on several files, by how many ended how
 */
export async function eachFile(
  args: Arguments,
  one: (file: string) => Promise<OneFile>,
  many?: (files: number, wrong: number, refused: number) => string,
): Promise<number> {
  const { positionals: files } = args;
  const lines = args.flag("jsonl");
  if (files.filter((file) => file === "-").length > 1) throw new UsageError("standard input is only one of the files");
  if (args.flag("json") && (lines || files.length > 1)) {
    throw new UsageError("--json prints one document: --jsonl prints a line for each FILE");
  }
  const [only = ""] = files;
  if (!lines && files.length === 1) return show(args, await one(only));
  const sink = new WritableSink(process.stdout, "standard output");
  const counts = { wrong: 0, refused: 0 };
  let worst = 0;
  for (const [i, file] of files.entries()) {
    let line: string;
    try {
      aboutFile(file);
      const found = await one(file);
      if (found.status !== 0) counts.wrong++;
      worst = Math.max(worst, found.status);
      line = lines ? jsonLine(documentOf(...found.document)) : "";
      if (!lines) {
        if (i > 0) print([""]);
        show(args, found);
      }
    } catch (thrown) {
      const error = withFullDisk(thrown);
      if (!(error instanceof QevmError)) throw error;
      counts.refused++;
      worst = Math.max(worst, statusOf(error));
      tell(error.offset === undefined ? `${safe(file)}: ${error.message}` : refusal(named(file), error));
      line = jsonLine(failure(error));
    }
    if (lines) await sink.write(Buffer.from(line));
  }
  const { wrong, refused } = counts;
  if (!lines && many !== undefined) print(["", many(files.length, wrong, refused)]);
  return worst;
}

function show(args: Arguments, { document, lines, warn, status }: OneFile): number {
  if (args.flag("json")) printResult(...document);
  else {
    warn();
    print(lines);
  }
  return status;
}

/** How a report calls FILE. */
export function named(file: string): string {
  return file === "-" ? "standard input" : file;
}
