import { readFileSync } from "node:fs";
import { reportOf, type QemuReport } from "../../analyse/fuzz/report.js";
import { parseResults } from "../../analyse/fuzz/run-qemu.js";
import { attempt } from "../../io/transport/file.js";
import { parse } from "../arguments.js";
import { printResult } from "../document.js";
import { count, print, safe, table } from "../output.js";
import { outcomeTable } from "./common.js";

/** `qevm fuzz report RESULTS...`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("fuzz report", argv, [1, Infinity], "a file of results");
  const results = args.positionals.flatMap((path) => {
    const text = attempt(path, () => readFileSync(path, "utf8"));
    return parseResults(text, path).results;
  });
  const report = reportOf(results);
  if (args.flag("json")) printResult(reportDocument(report));
  else print(reportLines(report));
  return 0;
}

/** The report by the names that the results have. */
export function reportDocument({ remarkable, differences, ...rest }: QemuReport): object {
  return {
    ...rest,
    remarkable: remarkable.map(({ code, ...one }) => ({ ...one, exitCode: code })),
    disagreements: differences.map(({ ours, qemu, ...one }) => ({ ...one, ourWords: ours, qemuWords: qemu })),
  };
}

/** The text report. */
export function reportLines(report: QemuReport): string[] {
  const lines = [`${count(report.cases)} cases`, "", ...outcomeTable(report.outcomes)];
  lines.push("", "What the destination said:");
  lines.push(...table([["cases", "text"], ...report.texts.map(({ text, cases }) => [count(cases), safe(text)])], [1]));
  if (report.differences.length > 0) {
    lines.push("", "Where one accepts what the other refuses:");
    for (const { qemu, ours, cases, seed, did } of report.differences) {
      lines.push(`  ${count(cases)} cases, for example seed ${seed}: ${safe(did)}`);
      lines.push(`    QEMU: ${safe(qemu)}`, `    qevm: ${safe(ours)}`);
    }
  }
  if (report.remarkable.length > 0) {
    lines.push("", "Hangs, signals and other ends:");
    for (const { seed, outcome, signal, did, text } of report.remarkable) {
      lines.push(`  seed ${seed}: ${outcome}${signal === null ? "" : ` by ${signal}`}: ${safe(did)}`);
      if (text.trim() !== "") lines.push(`    ${safe(text.trim().split("\n")[0]!)}`);
    }
  }
  return lines;
}
