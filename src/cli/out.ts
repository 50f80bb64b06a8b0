import { leftovers } from "../io/transport/leftovers.js";
import { wouldReplace } from "../io/transport/same-file.js";
import { UsageError, type Arguments } from "./arguments.js";
import { fileSize, safe, warn } from "./output.js";

/**
 * Parses `--out`: the file or folder to write, which must not be an input. `-` is standard output for commands that
 * write one stream; other commands refuse it. Errors: usage.
 * @param text whether the output is text, which a terminal shows
 * @param what description of the output, for the error where the option is missing
 * @param inputs files that are read; `-`, undefined and missing files are ignored
 */
export function outOf(
  args: Arguments,
  inputs: readonly (string | undefined)[],
  { what, stdout = false, text = false }: { what?: string; stdout?: boolean; text?: boolean } = {},
): string {
  const out = args.text("out");
  if (out === undefined) throw new UsageError(what === undefined ? "--out is missing" : `--out is missing: ${what}`);
  if (out === "-") {
    if (!stdout)
      throw new UsageError("this cannot be written to standard output: --out PATH (./- for a file of that name)");
    if (args.flag("json")) throw new UsageError("--json and --out - both write to standard output");
    if (!text) refuseTerminal();
    return out;
  }
  refuseInput(out, [...inputs, ...args.list("schema")], "--out");
  tellLeftovers(out);
  return out;
}

/** Refuses an output that is an input. Errors: usage. */
export function refuseInput(out: string, inputs: readonly (string | undefined)[], option = "--html"): void {
  if (out === "" || out === "-") throw new UsageError(`${option} takes the name of a file`);
  for (const input of inputs) {
    if (input !== undefined && input !== "-" && wouldReplace(out, input))
      throw new UsageError(`${option} would replace ${input}, which is read`);
  }
}

/** Refuses to write bytes to a terminal. Errors: usage. */
export function refuseTerminal(
  to: { isTTY?: boolean } = process.stdout,
  instead = "give --out FILE, or redirect it",
): void {
  if (to.isTTY === true) throw new UsageError(`standard output is a terminal, and the output is binary: ${instead}`);
}

/** Says what a run that was killed has left where this one writes to: it is hidden, and nobody else tells of it. */
export function tellLeftovers(out: string): void {
  for (const { path, bytes, recording } of leftovers(out)) {
    const what = recording ? "received, and can be read with --lenient" : "unfinished, and can be removed";
    warn(`${safe(path)} (${fileSize(bytes)}) is of a run that was killed, or is still under way: ${what}`);
  }
}
