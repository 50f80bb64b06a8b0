import { commandLines } from "../analyse/explain/shell.js";
import { AtomicFile, FileSource } from "../io/transport/file.js";
import { adaptReopened } from "../rewrite/adapt/adapt-file.js";
import { withSource, type Reopened } from "../rewrite/adapt/adapt.js";
import { askFor } from "../rewrite/adapt/ask.js";
import { withReopened } from "../rewrite/adapt/reopened.js";
import { survey } from "../rewrite/adapt/survey.js";
import type { AdaptReport } from "../rewrite/adapt/types.js";
import { adaptDocument, adaptLines } from "./adapt-report.js";
import { inputOptions, parse, streamOptions, UsageError, type Arguments } from "./arguments.js";
import { outOf, refuseInput } from "./out.js";
import { aboutContainers, printResult } from "./document.js";
import { delivered, fileSize, print, printWarnings, safe, tell } from "./output.js";

/** The newest machine type that writes no configuration section, so that its streams do not say what they are of. */
const UNNAMED = "pc-i440fx-2.3";

/** `qevm adapt FILE --out NEW (--like PATTERN | -- QEMU ARGS...)`. */
export async function run(argv: string[]): Promise<number> {
  const at = argv.indexOf("--");
  const command = at < 0 ? [] : argv.slice(at + 1);
  const args = parse("adapt", at < 0 ? argv : argv.slice(0, at), [1, 1], "one FILE");
  const like = args.text("like");
  if ((like === undefined) === (command.length === 0)) {
    throw new UsageError("the destination: its command after --, or --like PATTERN, a stream that it saved");
  }
  for (const name of ["print-command", "keep-pattern"]) {
    if ((args.flag(name) || args.text(name) !== undefined) && like !== undefined)
      throw new UsageError(`--${name} needs the command after --`);
  }
  const [file = ""] = args.positionals;
  const kept = args.text("keep-pattern");
  if (kept !== undefined) refuseInput(kept, [file, args.text("out")], "--keep-pattern");
  if (args.text("machine") !== undefined && like !== undefined)
    throw new UsageError("--machine needs the command after --");
  const writes = !args.flag("check") && !(args.flag("print-command") && args.text("out") === undefined);
  const out = writes ? outOf(args, [file, like], { what: "the adapted file, or --check", stdout: true }) : undefined;
  const { stream: _, unfinished: _unfinished, ...place } = inputOptions(args);
  const stream = await streamOptions(args);
  const options = { accept: args.list("accept"), stream };
  return await withReopened(file, { ...stream, ...place }, async (reopened) => {
    const old = noted(reopened);
    if (like !== undefined) {
      const report = await withReopened(like, {}, (pattern) => adaptReopened(old, pattern, out, options));
      return finish(args, out, report);
    }
    const known = await withSource(old, (source) => survey(source, stream));
    const asked = await askFor(command, args.text("machine") ?? known.machine ?? UNNAMED, known);
    try {
      if (kept !== undefined) await keepPattern(asked.path, kept);
      const pattern = { open: () => FileSource.open(asked.path) };
      const report = await adaptReopened(old, pattern, out, {
        ...options,
        known,
        facts: asked.facts,
        added: asked.added,
      });
      return finish(args, out, report, asked.command);
    } finally {
      asked.remove();
    }
  });
}

/** The pattern as a file of its own: for `relay --like`, or another `adapt`. Errors: io. */
async function keepPattern(path: string, out: string): Promise<void> {
  const file = new AtomicFile(out);
  const source = FileSource.open(path);
  try {
    const chunk = new Uint8Array(1 << 20);
    for (let n = source.read(chunk); n > 0; n = source.read(chunk)) await file.write(chunk.subarray(0, n));
    file.commit();
  } finally {
    source.close();
    file.abort();
  }
}

/** The same, and the documents are about what it comes wrapped in. */
function noted(one: Reopened): Reopened {
  return {
    open: async () => {
      const source = await one.open();
      if (source.containers !== undefined) aboutContainers(source.containers);
      return source;
    },
  };
}

function doneLine({ streamLength: bytes = 0 }: AdaptReport, out: string | undefined): string {
  return out === undefined ? "Nothing is refused: the destination should load it." : `${safe(out)}: ${fileSize(bytes)}`;
}

function finish(args: Arguments, out: string | undefined, report: AdaptReport, command?: readonly string[]): number {
  printWarnings(report.warnings);
  const status = Math.max(delivered(report, args.flag("accept-damage")), report.enough ? 0 : 1);
  if (args.flag("json")) {
    printResult({ ...adaptDocument(report), ...(command === undefined ? {} : { command }) });
    return status;
  }
  const lines =
    args.flag("print-command") && args.text("out") === undefined && report.enough
      ? []
      : adaptLines(report, doneLine(report, out));
  if (command !== undefined)
    lines.push(
      ...(lines.length === 0 ? [] : ["The destination:"]),
      ...commandLines([...command, "-incoming", "defer"]),
    );
  // Standard output is the stream's.
  if (out === "-") tell(lines.join("\n"));
  else print(lines);
  return status;
}
