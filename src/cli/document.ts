import { hex, QevmError } from "../bytes/errors.js";
import type { Segment } from "../guest/layout-types.js";
import {
  envelope,
  errorDocument,
  errorEnvelope,
  type About,
  type Envelope,
  type Told,
} from "../analyse/text/envelope.js";
import { jsonLine, printedJson } from "../analyse/text/json-pieces.js";
import { openInput, type StreamInput } from "../io/container/input.js";
import { containerName, type Input, type InputOptions } from "../io/container/types.js";
import { helpOf } from "./option-table.js";
import { COMMANDS } from "./help.js";
import { version } from "./version.js";

/** What the documents of this run are about; set by `run`, by the command line and by what is opened. */
const about: Omit<About, "qevm"> = { schema: "", file: null, container: null };

/** Commands whose first argument is no file, or that compare two. */
const NO_FILE: ReadonlySet<string> = new Set(["receive", "relay", "diff", "catalogue list", "completions", "page"]);

/** A command begins: nothing is known but its name, and that of its action. */
export function beginDocument(name: string, [action = ""]: readonly string[]): void {
  const { actions = {} } = helpOf(COMMANDS, [name]) ?? {};
  about.schema = `${name}${Object.hasOwn(actions, action) ? `-${action}` : ""}/1`;
  aboutFile(null);
}

/** The command line was parsed. */
export function aboutFiles(command: string, files: readonly string[], template: string | undefined): void {
  const [file = template ?? null, ...more] = files;
  const many =
    more.length > 0 && (command === "fuzz decode" || command === "fuzz report" || command === "catalogue learn");
  aboutFile(NO_FILE.has(command) || many ? null : file);
}

/** What follows is about this file, which is not open yet. */
export function aboutFile(file: string | null): void {
  about.file = file;
  about.container = null;
}

/** What was found around the stream of the file. */
export function aboutContainers(containers: Parameters<typeof containerName>[0]): void {
  about.container = containerName(containers);
}

/** Opens the file that the documents of this run are about. Errors: as `openInput`. */
export async function openFile(file: StreamInput, options?: InputOptions): Promise<Input> {
  const input = await openInput(file, options);
  aboutContainers(input.containers);
  return input;
}

/** What the documents of this run are about. */
export function aboutNow(): About {
  return { qevm: version(), ...about };
}

/** A result in its envelope. */
export function documentOf(result: object, told?: Told): Envelope {
  return envelope(aboutNow(), result, told);
}

/** Prints a result in its envelope: one document, in pieces. */
export function printResult(result: object, told?: Told): void {
  print(documentOf(result, told));
}

/** The document of an error. */
export function failure(error: QevmError | Error, side?: "a" | "b"): Envelope {
  const own =
    error instanceof QevmError ? errorDocument(error) : { code: "usage" as const, message: error.message, path: [] };
  return errorEnvelope(aboutNow(), { ...own, ...(side === undefined ? {} : { side }) });
}

/** Prints the document of an error. @param inOneLine as `--jsonl` prints it */
export function printFailure(
  error: QevmError | Error,
  { side, inOneLine = false }: { side?: "a" | "b"; inOneLine?: boolean } = {},
): void {
  const document = failure(error, side);
  if (inOneLine) process.stdout.write(jsonLine(document));
  else print(document);
}

/** Segments of guest-physical memory as JSON has them: addresses are hex strings. */
export function shownSegments(segments: readonly Segment[]): object[] {
  return segments.map(({ start, length, block, offset, device }) => ({
    physical: hex(start),
    length,
    block,
    blockOffset: offset,
    ...(device === undefined ? {} : { device }),
  }));
}

function print(document: Envelope): void {
  for (const piece of printedJson(document)) process.stdout.write(piece);
}
