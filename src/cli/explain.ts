import { readFileSync } from "node:fs";
import { explainStream, wrappedIn } from "../analyse/explain/index.js";
import { openFile, printResult } from "./document.js";
import { inputOptions, parse, streamOptions, UsageError } from "./arguments.js";
import { attempt } from "../io/transport/attempt.js";
import { explainDocument } from "../analyse/text/documents.js";
import { explainLines } from "../analyse/text/explain.js";
import { print, withProgress } from "./output.js";

/** Bytes of a log that are read at most. */
const MOST_TEXT = 4 << 20;

/** `qevm explain FILE ["QEMU's error text"]`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("explain", argv, [1, 2], "FILE and at most one text (quote it)");
  const [file, given] = args.positionals as [string, string | undefined];
  const text = given === undefined ? undefined : textOf(given, file);
  const input = await openFile(file, { ...inputOptions(args), unfinished: true, incomplete: true });
  const wrapped = wrappedIn(input.containers);
  const source = withProgress(input, "reading");
  const explained = await explainStream(source, text, {
    ...(await streamOptions(args)),
    name: file,
    ...wrapped,
  }).finally(() => source.done());
  await source.close?.();
  if (args.flag("json")) printResult(...explainDocument(explained));
  else print(explainLines(file === "-" ? "standard input" : file, explained, wrapped.containers));
  return explained.faults.length > 0 ? 1 : 0;
}

/** QEMU's text: as given, or what a file holds (`@err.log`, `@-`). Errors: usage, io. */
function textOf(given: string, file: string): string {
  if (!given.startsWith("@")) return given;
  const path = given.slice(1);
  if (path === "-" && file === "-") throw new UsageError("only one of FILE and @- can be standard input");
  const text = attempt(path, () => readFileSync(path === "-" ? 0 : path));
  if (text.length > MOST_TEXT) throw new UsageError(`${path} has more than ${MOST_TEXT} bytes: give its last lines`);
  return text.toString("utf8");
}
