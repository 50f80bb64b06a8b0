import { isFolder } from "../../io/container/is-folder.js";
import { decodeCase } from "../../analyse/fuzz/decode-case.js";
import { minimise, type Judge } from "../../analyse/fuzz/minimise.js";
import { tryQemu } from "../../analyse/fuzz/qemu-case.js";
import { plainText } from "../../analyse/fuzz/report.js";
import { AtomicFile } from "../../io/transport/file.js";
import { parse, UsageError } from "../arguments.js";
import { outOf } from "../out.js";
import { printResult } from "../document.js";
import { print, safe } from "../output.js";
import { readWhole } from "./common.js";

/** `qevm fuzz minimise CASE --out FILE [-- QEMU ARGS...]`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("fuzz minimise", argv, [1, Infinity], "one FILE and, after --, a destination's command");
  const [file = "", ...command] = args.positionals;
  if (isFolder(file)) throw new UsageError("a recording is made smaller file by file");
  const out = outOf(args, [file], { what: "the file for the smaller case" });
  const judge: Judge =
    command.length === 0
      ? ownJudge(args.flag("lenient"))
      : qemuJudge(command, args.list("capability"), args.number("seconds", { min: 1, max: 3600 }));
  const bytes = await readWhole(file, true);
  const show = process.stderr.isTTY;
  const result = await minimise(bytes, judge, {
    tests: args.number("tests", { min: 1, max: 1e9 }) ?? (command.length === 0 ? 20_000 : 2000),
    onProgress: (length, tests) => {
      if (show) process.stderr.write(`\r\x1b[K${length} bytes after ${tests} tests`);
    },
  });
  if (show) process.stderr.write("\r\x1b[K");
  const target = new AtomicFile(out);
  try {
    await target.write(result.bytes);
    target.commit();
  } finally {
    target.abort();
  }
  const summary = { from: bytes.length, to: result.bytes.length, outcome: result.outcome, tests: result.tests };
  if (args.flag("json"))
    printResult({ fromBytes: summary.from, toBytes: summary.to, outcome: summary.outcome, tests: summary.tests });
  else
    print([
      `${safe(out)}: ${summary.to} of ${summary.from} bytes after ${summary.tests} tests`,
      `  ${safe(result.outcome)}`,
    ]);
  return 0;
}

function ownJudge(lenient: boolean): Judge {
  return async (bytes) => {
    const { outcome, message, find } = await decodeCase(bytes, lenient);
    return [find, outcome, message === undefined ? undefined : plainText(message)].filter(Boolean).join(": ");
  };
}

function qemuJudge(command: readonly string[], capabilities: readonly string[], seconds: number | undefined): Judge {
  return async (bytes) => {
    const { outcome, signal, text } = await tryQemu(bytes, { command, capabilities, seconds });
    return [signal === null ? outcome : `${outcome} by ${signal}`, plainText(text)].filter(Boolean).join(": ");
  };
}
