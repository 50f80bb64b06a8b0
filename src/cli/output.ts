import type { Warning } from "../bytes/errors.js";
import { derive, type ByteSource } from "../bytes/source.js";
import { escaped } from "../bytes/text.js";
import { jsonPieces } from "./json-pieces.js";
import { Progress } from "./progress.js";
import { colored, hasColor, voice } from "./voice.js";

export { count, fileSize, grouped, memorySize, safe } from "../bytes/text.js";

/**
 * Prints one JSON document. 64-bit integers are decimal strings; control characters including U+0080 to U+009F are
 * escaped.
 */
export function printJson(value: unknown): void {
  for (const piece of jsonPieces(value))
    process.stdout.write(piece.replace(CONTROL, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`));
  process.stdout.write("\n");
}

/** A JSON document in one line, with its line break; otherwise as `printJson`. */
export function jsonLine(value: unknown): string {
  const text = JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? one.toString() : one));
  return `${text.replace(CONTROL, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)}\n`;
}

/** Prints a message on stderr. Names from the stream may contain terminal control characters, which are escaped. */
export function tell(message: string): void {
  const text = message.replace(CONTROL, escaped);
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

/** Terminal control characters except line breaks. */
// oxlint-disable-next-line no-control-regex -- control characters are what must be escaped
const CONTROL = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/g;

/** Prints a report, not with `--quiet`. */
export function print(lines: readonly string[]): void {
  if (voice.quiet) return;
  process.stdout.write(`${(hasColor(process.stdout) ? lines.map(colored) : lines).join("\n")}\n`);
}

export function printWarnings(warnings: readonly Warning[]): void {
  for (const { message, offset, path, replaced } of warnings) {
    const where = [...(offset === undefined ? [] : [`at byte 0x${offset.toString(16)}`]), ...path].join(", ");
    warn(`${where}${where === "" ? "" : ": "}${message}${replaced === undefined ? "" : `; ${inPlace(replaced)}`}`);
  }
}

/** Longer cells shift only the rest of their own row, so that one long name does not widen the whole table. */
const WIDEST = 64;
/** The replacement for a damaged page, as text. */
function inPlace({ block, page, by }: NonNullable<Warning["replaced"]>): string {
  return `replaced page of ${JSON.stringify(block)} at 0x${page.toString(16)}: ${by}`;
}

/**
 * The exit status of a command whose output is memory, device state or a stream: 1 where lenient mode skipped
 * something, since the output is incomplete. Prints a warning on stderr.
 */
export function delivered({ passedOver, warnings }: { passedOver: number; warnings: readonly Warning[] }): number {
  if (passedOver === 0) return 0;
  const more = Math.max(0, passedOver - warnings.length);
  const unlisted = more === 0 ? "" : ` (${more} of them are not listed)`;
  const things = passedOver === 1 ? "1 anomaly was" : `${passedOver} anomalies were`;
  warn(`the output is unreliable: ${things} skipped${unlisted}`);
  return 1;
}

/** Aligns columns, the first one left, the others right. */
export function table(rows: readonly (readonly string[])[], left: readonly number[] = [0]): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, Math.min(cell.length, WIDEST))));
  return rows.map((row) =>
    `  ${row.map((cell, i) => (left.includes(i) ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ")}`.trimEnd(),
  );
}

/**
 * `first`, then the parts with `separator` between them, wrapped at 80 columns; continuation lines begin with `indent`.
 */
export function wrapped(first: string, parts: readonly string[], separator = ", ", indent = "  "): string[] {
  const lines = [first];
  parts.forEach((part, i) => {
    const end = i + 1 < parts.length ? separator.trimEnd() : "";
    const line = lines.at(-1)!;
    const space = i === 0 || line.endsWith(separator.trimEnd()) ? " " : "";
    if (line.length + space.length + part.length + end.length > 80) lines.push(`${indent}${part}${end}`);
    else lines[lines.length - 1] = `${line}${space}${part}${end}`;
  });
  return lines;
}

/** A source that shows progress in a line on stderr, only on a terminal; the line is removed at the end. */
export function withProgress(source: ByteSource, what: string): ByteSource & { done(): void } {
  const { readAhead } = source;
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
    done: () => progress.end(),
  });
}
