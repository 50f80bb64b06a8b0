import { isFolder } from "../../io/container/is-folder.js";
import { reportOf } from "../../analyse/fuzz/report.js";
import { runQemu } from "../../analyse/fuzz/run-qemu.js";
import { parse, UsageError } from "../arguments.js";
import { outOf } from "../out.js";
import { printResult } from "../document.js";
import { count, print } from "../output.js";
import { caseChoice, placeOf, readWhole } from "./common.js";
import { reportDocument, reportLines } from "./report.js";

/**
 * `qevm fuzz qemu FILE --out RESULTS -- QEMU ARGS...`: exit status 1 where a destination hung or was killed by a
 * signal.
 */
export async function run(argv: string[]): Promise<number> {
  const args = parse("fuzz qemu", argv, [1, Infinity], "one FILE and, after --, the destination's command");
  const [file = "", ...command] = args.positionals;
  const out = outOf(args, [file], { what: "the file for the results, a line a case" });
  if (command.length === 0) throw new UsageError("the destination's command is missing: -- qemu-system-x86_64 ...");
  if (isFolder(file)) throw new UsageError("a destination takes one stream, not a recording");
  const { cases = 100, ...choice } = caseChoice(args);
  const show = process.stderr.isTTY;
  const stream = await readWhole(file, args.flag("as-is"), placeOf(args));
  const results = await runQemu(stream, {
    ...choice,
    cases,
    out,
    command,
    capabilities: args.list("capability"),
    seconds: args.number("seconds", { min: 1, max: 3600 }),
    jobs: args.number("jobs", { min: 1, max: 64 }) ?? 2,
    onProgress: (done) => {
      if (show) process.stderr.write(`\r\x1b[K${count(done)} of ${count(cases)} cases`);
    },
  });
  if (show) process.stderr.write("\r\x1b[K");
  const report = reportOf(results);
  if (args.flag("json")) printResult(reportDocument(report));
  else print(reportLines(report));
  return report.remarkable.length === 0 ? 0 : 1;
}
