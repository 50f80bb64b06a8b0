import type { AdaptReport, Change } from "../rewrite/adapt/types.js";
import { safe } from "./output.js";

/** The report by the names that the results have; what was noticed belongs to the envelope. */
export function adaptDocument({ refused, changes, ...rest }: AdaptReport): object {
  return { ...rest, changes: changes.map(changeDocument), refusedChanges: refused.map(changeDocument) };
}

function changeDocument({ remedy, ...change }: Change): object {
  return { ...change, advice: remedy };
}

/** What was changed, and what is refused, as text. @param done the last line where nothing is refused */
export function adaptLines(report: AdaptReport, done: string): string[] {
  const { machines: machine, changes, refused } = report;
  const from = machine.old === null ? "no machine type" : safe(machine.old);
  const lines = [`From ${from} to ${machine.new === null ? "no machine type" : safe(machine.new)}`];
  const taken = changes.filter((change) => !refused.includes(change));
  if (taken.length > 0)
    lines.push(
      refused.length === 0 ? "Changes:" : "Would change:",
      ...runsOf(taken).flatMap((run) => changeLines(run)),
    );
  if (refused.length > 0) {
    lines.push("Refused:");
    for (const run of runsOf(refused)) lines.push(...changeLines(run), ...wayOut(run[0]));
    return lines;
  }
  lines.push(done);
  return lines;
}

/** Changes of the elements of one array, for one reason. */
type Run = readonly [Change, ...Change[]];

function runsOf(changes: readonly Change[]): Run[] {
  const runs: [Change, ...Change[]][] = [];
  for (const one of changes) {
    const last = runs.at(-1);
    if (last !== undefined && isElement(one) && kindOf(one) === kindOf(last[0])) last.push(one);
    else runs.push([one]);
  }
  return runs;
}

const ELEMENT = /\[\d+\]$/u;

function isElement({ where }: Change): boolean {
  return ELEMENT.test(where);
}

function kindOf({ where, rule, reason, remedy = "", weight }: Change): string {
  return [where.replace(ELEMENT, ""), rule, reason, remedy, weight].join("\n");
}

function changeLines(run: Run): string[] {
  const [{ where, streamOffset: offset, reason }] = run;
  const at = offset === undefined ? "" : ` (at byte 0x${offset.toString(16)})`;
  const values = [...new Set(run.map(({ old, new: now }) => `${safe(old)} -> ${safe(now)}`))].join(", ");
  const last = run.length === 1 ? "" : ` to ${ELEMENT.exec(run.at(-1)!.where)![0]}, ${run.length} of them`;
  return [`  ${safe(where)}${last}${at}: ${values}`, `    ${safe(reason)}`];
}

function wayOut({ weight, rule, remedy }: Change): string[] {
  return [
    ...(remedy === undefined ? [] : [`    what helps: ${safe(remedy)}`]),
    ...(weight === "guest" ? [`    to take it all the same: --accept ${safe(rule)}`] : []),
  ];
}
