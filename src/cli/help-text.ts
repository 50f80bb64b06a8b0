import { COMMANDS } from "./help.js";
import { GENERAL, helpOf } from "./option-table.js";

/** `qevm --help`. */
export function overview(): string {
  return [
    "qevm: read, check and write QEMU's migration stream",
    "",
    "usage: qevm COMMAND ...",
    "",
    ...aligned(Object.entries(COMMANDS).map(([name, { line }]) => [name, line])),
    "",
    "For details, run qevm COMMAND --help. Results go to stdout, messages to stderr.",
    "Exit 0: done, the same, sound; 1: an answer that is bad news: damaged,\ndifferent, or something was skipped; 2: no answer: usage, files, peers, limits;\n70: an error of this program, please report it (QEVM_DEBUG=1 prints its stack).",
    "",
  ].join("\n");
}

/** `qevm NAME --help`, or the help of one of its actions. */
export function helpFor(name: string, action?: string): string {
  const command = helpOf(COMMANDS, [name]);
  if (command === undefined) return `qevm: unknown command ${JSON.stringify(name)}\n\n${overview()}`;
  const chosen = action === undefined ? command : helpOf(COMMANDS, [name, action])!;
  const { usage, line, options, actions, text } = chosen;
  const lines = [`usage: qevm ${name} ${chosen === command ? "" : `${action} `}${usage}`, "", line, ""];
  if (actions !== undefined) lines.push(...aligned(Object.entries(actions).map(([one, help]) => [one, help.line])), "");
  else lines.push(...aligned([...(options ?? []), ...GENERAL]), "");
  if (text !== undefined) lines.push(text, "");
  return lines.join("\n");
}

/** Aligns rows in two columns. */
function aligned(rows: readonly (readonly [string, string, ...unknown[]])[]): string[] {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
}
