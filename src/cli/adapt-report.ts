import type { AdaptReport, Change } from "../rewrite/adapt/types.js";
import { fileSize, safe } from "./output.js";

/** What was changed, and what is refused, as text. */
export function adaptLines(report: AdaptReport, out: string | undefined): string[] {
  const { machines: machine, changes, refused, streamLength: bytes } = report;
  const from = machine.old === null ? "no machine type" : safe(machine.old);
  const lines = [`From ${from} to ${machine.new === null ? "no machine type" : safe(machine.new)}`];
  const taken = changes.filter((change) => !refused.includes(change));
  if (taken.length > 0)
    lines.push(refused.length === 0 ? "Changes:" : "Would change:", ...taken.flatMap((one) => changeLines(one)));
  if (refused.length > 0) {
    lines.push("Refused:");
    for (const one of refused) lines.push(...changeLines(one), ...wayOut(one));
    return lines;
  }
  lines.push(
    out === undefined ? "Nothing is refused: the destination should load it." : `${safe(out)}: ${fileSize(bytes ?? 0)}`,
  );
  return lines;
}

function changeLines({ where, streamOffset: offset, old, new: now, reason }: Change): string[] {
  const at = offset === undefined ? "" : ` (at byte 0x${offset.toString(16)})`;
  return [`  ${safe(where)}${at}: ${safe(old)} -> ${safe(now)}`, `    ${safe(reason)}`];
}

function wayOut({ weight, rule, remedy }: Change): string[] {
  return [
    ...(remedy === undefined ? [] : [`    what helps: ${safe(remedy)}`]),
    ...(weight === "guest" ? [`    to take it all the same: --accept ${safe(rule)}`] : []),
  ];
}
