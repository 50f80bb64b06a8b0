import type { Warning } from "../bytes/errors.js";
import { derive, type ByteSource } from "../bytes/source.js";
import { escaped } from "../bytes/text.js";
import { escapedControls, warningText } from "../analyse/text/lines.js";
import { voice } from "../analyse/text/voice.js";
import { Progress } from "./progress.js";
import { colored, hasColor } from "./voice.js";

export { table, wrapped } from "../analyse/text/lines.js";
export { count, fileSize, grouped, memorySize, safe } from "../bytes/text.js";

/** Parts of paths on the command line that hold line breaks. */
let broken: readonly string[] = [];

/** The arguments of this command: where one holds a line break, messages and reports show it escaped. */
export function beginOutput(args: readonly string[]): void {
  broken = args.flatMap((one) => one.split(/[/=]/u)).filter((part) => /[^\n\r][\n\r]|[\n\r][^\n\r]/u.test(part));
}

/** A name stays in one line; the line breaks of the text itself stay. */
function inOneLine(text: string): string {
  return broken.reduce((all, name) => all.replaceAll(name, () => name.replaceAll(/[\n\r]/gu, escaped)), text);
}

/** Prints a message on stderr. Names from the stream may contain terminal control characters, which are escaped. */
export function tell(message: string): void {
  const text = escapedControls(inOneLine(message));
  const shown = hasColor(process.stderr) ? text.split("\n").map(colored).join("\n") : text;
  process.stderr.write(`${shown}\n`);
}

/** Prints a warning on stderr, not with `--quiet`. */
export function warn(message: string): void {
  if (!voice.quiet) tell(`warning: ${message}`);
}

/** `at tcp:...` for a listening address; `from exec:...` for a source that is read. */
export function whence(uri: string): string {
  return isListener(uri) ? `at ${uri}` : `from ${uri}`;
}

/** Prints where the source is expected, or what is read. */
export function tellSource(uri: string): void {
  tell(`${isListener(uri) ? "listening" : "reading"} ${whence(uri)}`);
}

function isListener(uri: string): boolean {
  return /^(?:tcp|unix):/u.test(uri);
}

/** Warns where a stream without description ended before EOF, so that the missing part is unknown. */
export function tellIncomplete({ complete }: { complete: boolean }): void {
  if (!complete) warn("the stream ends before its EOF");
}

/** Prints a report, not with `--quiet`. */
export function print(lines: readonly string[]): void {
  if (voice.quiet) return;
  const shown = broken.length === 0 ? lines : lines.map(inOneLine);
  process.stdout.write(`${(hasColor(process.stdout) ? shown.map(colored) : shown).join("\n")}\n`);
}

export function printWarnings(warnings: readonly Warning[]): void {
  if (voice.quiet) return;
  for (const warning of warnings) tell(warningText(warning));
}

/** The exit status of a command that reports: 1 where lenient mode skipped something. */
export function soundness(warnings: readonly Warning[]): 0 | 1 {
  return warnings.some(({ skipped }) => skipped === true) ? 1 : 0;
}

/**
 * The exit status of a command whose output is memory, device state or a stream: 1 where lenient mode skipped
 * something, since the output is incomplete. Prints a warning on stderr.
 * @param accepted `--accept-damage`: 0 where all of it is listed
 */
export function delivered(
  { passedOver, warnings }: { passedOver: number; warnings: readonly Warning[] },
  accepted = false,
): number {
  if (passedOver === 0) return 0;
  const more = Math.max(0, passedOver - warnings.length);
  const unlisted = more === 0 ? "" : ` (${more} of them are not listed)`;
  const things = passedOver === 1 ? "1 anomaly was" : `${passedOver} anomalies were`;
  warn(`the output is unreliable: ${things} skipped${unlisted}`);
  return accepted && warnings.filter(({ skipped }) => skipped === true).length >= passedOver ? 0 : 1;
}

/** A source that shows progress in a line on stderr, only on a terminal; the line is removed at the end. */
export function withProgress(source: ByteSource, what: string): ByteSource & { done(): void } {
  const { readAhead, readBeside } = source;
  const progress = new Progress(what, source.length);
  const ticking = derive(source, (into) => {
    const got = source.read(into);
    return typeof got === "number" ? progress.add(got) : got.then((n) => progress.add(n));
  });
  const seek = ticking.seek?.bind(ticking);
  return Object.assign(ticking, {
    // Read from its first byte again, it is another pass.
    ...(seek && {
      seek: (position: number) => {
        if (position === 0) progress.restart();
        seek(position);
      },
    }),
    readAhead:
      readAhead && ((position: number, into: Uint8Array) => readAhead(position, into).then((n) => progress.add(n))),
    readBeside: readBeside && ((position: number, into: Uint8Array) => progress.add(readBeside(position, into))),
    done: () => progress.end(),
  });
}
