import { type ByteSource, isRandom } from "../bytes/source.js";
import { isFolder } from "../io/container/is-folder.js";
import { openInput } from "../io/container/input.js";
import { detect } from "../io/container/detect.js";
import {
  diffStreams,
  filterDiff,
  sideOf,
  type LeftOut,
  type Pair,
  type Side,
  type StreamDiff,
} from "../analyse/diff/index.js";
import { diffPage } from "../analyse/report/index.js";
import { inStream } from "../analyse/diff/side.js";
import { QevmError, type Warning } from "../bytes/errors.js";
import { openOutput } from "../io/transport/output.js";
import { openSource } from "../io/transport/file.js";
import { inputOptions, parse, streamOptions, UsageError, wholeSize, type Arguments } from "./arguments.js";
import { printedDiff } from "../analyse/text/diff-document.js";
import { diffLines } from "../analyse/text/diff.js";
import { WritableSink } from "../io/transport/writable.js";
import { aboutNow, printFailure } from "./document.js";
import { refuseInput } from "./out.js";
import { version } from "./version.js";
import { leftOutLines, statLines } from "./diff-stat.js";
import { delivered, print, printWarnings, safe, withProgress } from "./output.js";
import { refusal } from "../analyse/text/lines.js";

/** Options that may be given twice, for A and for B. */

/** `qevm diff A B`: exit status 0 where a destination gets the same from both, 1 where not, 2 without an answer. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("diff", argv, [2, 2], "two files, A and B");
  const [a, b] = args.positionals as [string, string];
  const files = { a, b };
  if (a === "-" && b === "-") throw new UsageError("only one of the two can be standard input");
  const filter = { only: args.list("only"), ignore: args.list("ignore") };
  if (args.flag("stat") && args.flag("json")) throw new UsageError("--stat and --json exclude each other");
  const page = args.text("html");
  if (page !== undefined) refuseInput(page, [a, b]);
  let diff: StreamDiff & { leftOut?: LeftOut };
  try {
    diff = await diffFiles(files, args);
    if (filter.only.length + filter.ignore.length > 0) diff = filterDiff(diff, filter);
  } catch (error) {
    const side = error instanceof QevmError ? sideOf(error) : undefined;
    if (side === undefined) throw error;
    return refused(error as QevmError, side, files, args);
  }
  if (page !== undefined) await writePage(page, diffPage({ a: named(a), b: named(b) }, diff, `qevm ${version()}`));
  if (args.flag("json")) {
    const sink = new WritableSink(process.stdout, "standard output");
    for (const piece of printedDiff(aboutNow(), files, diff)) await sink.write(Buffer.from(piece));
  } else {
    printWarnings([...warningsOf(diff.a.warnings, a), ...warningsOf(diff.b.warnings, b)]);
    print(args.flag("stat") ? statLines(diff) : diffLines({ a: named(a), b: named(b) }, diff));
    if (diff.leftOut !== undefined) print(leftOutLines(diff.leftOut));
  }
  const { a: inA, b: inB } = diff;
  const passedOver = inA.passedOver + inB.passedOver;
  return Math.max(
    diff.verdict === "different" ? 1 : 0,
    delivered({ passedOver, warnings: [...inA.warnings, ...inB.warnings] }),
  );
}

async function writePage(path: string, html: string): Promise<void> {
  const out = openOutput(path);
  try {
    await out.write(Buffer.from(html));
    out.commit();
  } finally {
    out.abort();
  }
}

async function diffFiles(files: Pair<string>, args: Arguments): Promise<StreamDiff> {
  const options = await streamOptions(args);
  const snapshots = snapshotsOf(files, args.list("snapshot"));
  const offsets = offsetsOf(args.list("stream-offset"));
  const opened: (ByteSource & { done(): void })[] = [];
  const open = async (side: Side): Promise<ByteSource> => {
    const how = { ...inputOptions(args), snapshot: snapshots[side], offset: offsets[side] };
    const input = await inStream(side, () => openInput(files[side], how));
    const source = withProgress(input, `reading ${side === "a" ? "A" : "B"}`);
    opened.push(source);
    return source;
  };
  try {
    const a = await open("a");
    return await diffStreams(a, await open("b"), options);
  } finally {
    for (const source of opened) {
      source.done();
      await source.close?.();
    }
  }
}

/** One name applies to any qcow2 image, two are for A and B. */
function snapshotsOf({ a, b }: Pair<string>, names: readonly string[]): Partial<Pair<string>> {
  const [first, second] = names;
  if (first === undefined) return {};
  if (names.length > 2) throw new UsageError("--snapshot is given once or twice: for A and for B");
  if (second !== undefined) return { a: first, b: second };
  const images = { a: isImage(a), b: isImage(b) };
  if (!images.a && !images.b) throw new UsageError("--snapshot is for qcow2 images");
  return { ...(images.a ? { a: first } : {}), ...(images.b ? { b: first } : {}) };
}

/** One offset applies to both, two are for A and B. */
function offsetsOf(texts: readonly string[]): Partial<Pair<number>> {
  if (texts.length > 2) throw new UsageError("--stream-offset is given once or twice: for A and for B");
  const [a, b = a] = texts.map((text) => wholeSize("stream-offset", text));
  return { ...(a === undefined ? {} : { a }), ...(b === undefined ? {} : { b }) };
}

function isImage(file: string): boolean {
  if (file === "-" || isFolder(file)) return false;
  const source = openSource(file);
  const head = new Uint8Array(512);
  const n = isRandom(source) ? source.readAt(0, head) : 0;
  void source.close?.();
  return typeof n === "number" && detect(head.subarray(0, n)).kind === "qcow2";
}

/** An error in one input, with its file name. There is no answer, whatever the error is: status 2, as of `diff`. */
function refused(error: QevmError, side: Side, files: Pair<string>, args: Arguments): number {
  const { code, what, offset, path, expected, found } = error;
  const file = named(files[side]);
  const own = new QevmError(code, what, { offset, path: path.slice(1), expected, found });
  if (code === "usage") throw new QevmError("usage", `${file}: ${own.message}`);
  if (args.flag("json")) printFailure(own, { side });
  // File system errors already contain their file's name.
  const bare = own.message.startsWith(file) ? own.message : `${file}: ${own.message}`;
  const text = offset === undefined ? `qevm diff: ${bare}` : refusal(file, own);
  process.stderr.write(`${text}\n`);
  return 2;
}

function named(file: string): string {
  return file === "-" ? "standard input" : safe(file);
}

function warningsOf(warnings: readonly Warning[], file: string): Warning[] {
  return warnings.map((warning) => ({ ...warning, path: [named(file), ...warning.path] }));
}
