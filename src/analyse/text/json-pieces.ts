import { hex } from "../../bytes/errors.js";

/** Characters per piece. */
const PIECE = 1 << 16;

/**
 * The text of `JSON.stringify(value, null, 2)` in pieces of about 64 Ki characters, with 64-bit integers as hex
 * strings. The whole text is never in memory. The result of an element's `toJSON` is kept only while it is written, so
 * a long list can create its elements one by one.
 */
export function* jsonPieces(value: unknown): Generator<string> {
  const open: Open[] = [];
  let text = begin(value, "", "\n", open);
  for (let top = open.at(-1); top !== undefined; top = open.at(-1)) {
    text += next(top, open);
    if (text.length < PIECE) continue;
    yield text;
    text = "";
  }
  if (text !== "") yield text;
}

/** An array or object that has been begun. A list of these, not nested generators: those cost their depth a token. */
interface Open {
  readonly value: object;
  /** Names of an object's members; undefined: an array. */
  readonly names: readonly string[] | undefined;
  /** Next element or name. */
  at: number;
  written: boolean;
  /** A line break and the indent of the value's own line. */
  readonly line: string;
}

/** The text of a value, or the beginning of one that it adds to `open`. */
function begin(given: unknown, key: string, line: string, open: Open[]): string {
  const value = plain(given, key);
  if (typeof value !== "object" || value === null) return leaf(value);
  const names = Array.isArray(value) ? undefined : Object.keys(value);
  open.push({ value, names, at: 0, written: false, line });
  return names === undefined ? "[" : "{";
}

/** The next element or member of the innermost value, or its end, which removes it from `open`. */
function next(top: Open, open: Open[]): string {
  const { value, names } = top;
  if (names === undefined) {
    const elements = value as readonly unknown[];
    const { at } = top;
    if (at === elements.length) return end(top, "]", open);
    top.at++;
    const line = `${top.line}  `;
    const lead = top.written ? `,${line}` : line;
    top.written = true;
    return lead + begin(elements[at], String(at), line, open);
  }
  while (top.at < names.length) {
    const name = names[top.at++]!;
    const member: unknown = (value as Readonly<Record<string, unknown>>)[name];
    if (!isWritten(member)) continue;
    const line = `${top.line}  `;
    const lead = top.written ? `,${line}` : line;
    top.written = true;
    return `${lead}${JSON.stringify(name)}: ${begin(member, name, line, open)}`;
  }
  return end(top, "}", open);
}

function end(top: Open, bracket: string, open: Open[]): string {
  open.pop();
  return top.written ? top.line + bracket : bracket;
}

/** The value to print: the result of its `toJSON`, if any. */
function plain(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !("toJSON" in value)) return value;
  return typeof value.toJSON === "function" ? (value as { toJSON: (key: string) => unknown }).toJSON(key) : value;
}

function isWritten(value: unknown): boolean {
  return value !== undefined && typeof value !== "function" && typeof value !== "symbol";
}

function leaf(value: unknown): string {
  if (typeof value === "bigint") return `"${hexText(value)}"`;
  return isWritten(value) ? JSON.stringify(value) : "null";
}

/** A 64-bit integer as the documents have it: `0x2a`, `-0x2a`. */
export function hexText(value: bigint): string {
  return value < 0n ? `-${hex(-value)}` : hex(value);
}

/** Control characters, as JSON has them in its texts. */
// oxlint-disable-next-line no-control-regex -- control characters are what must be escaped
const CONTROL = /[\x00-\x09\x0b-\x1f\x7f-\x9f]/g;

function escapedJson(text: string): string {
  return text.replace(CONTROL, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

/** One JSON document as the commands print it: control characters including U+0080 to U+009F are escaped. */
export function* printedJson(value: unknown): Generator<string> {
  for (const piece of jsonPieces(value)) yield escapedJson(piece);
  yield "\n";
}

/** A JSON document in one line, with its line break; otherwise as `printedJson`. */
export function jsonLine(value: unknown): string {
  return `${escapedJson(JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? hexText(one) : one)))}\n`;
}
