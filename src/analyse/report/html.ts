import { safe } from "../../bytes/text.js";

/** Markup that may be put in a page as it is. Only `markup` and what is in this file makes it. */
export class Html {
  constructor(readonly text: string) {}
}

/** What may be between two pieces of markup. Strings are text, whatever is in them; undefined and false are nothing. */
export type Piece = Html | string | number | undefined | false | readonly Piece[];

/**
 * Markup with values in it: markup`<td>${name}</td>`. A value is text unless it is `Html` itself, so that nothing from
 * a stream becomes markup. Of a string, what is not printable ASCII becomes an escape (`\x1b`), as in every other
 * output, and what is longer than {@link MOST_TEXT} is shortened. In attributes values are in double quotes. How the
 * markup is indented in the source is not seen in the page.
 */
export function markup(literals: TemplateStringsArray, ...values: readonly Piece[]): Html {
  const parts = flush(literals);
  let text = parts[0] ?? "";
  values.forEach((value, i) => {
    text += textOf(value) + (parts[i + 1] ?? "");
  });
  return new Html(text);
}

const flushed = new WeakMap<TemplateStringsArray, readonly string[]>();

/** Without indentation; a template is looked at once. */
function flush(literals: TemplateStringsArray): readonly string[] {
  let parts = flushed.get(literals);
  if (parts === undefined) flushed.set(literals, (parts = literals.map((part) => part.replace(/\n +/gu, "\n"))));
  return parts;
}

/** Characters of one text from a stream that are shown. */
export const MOST_TEXT = 400;

function textOf(value: Piece): string {
  if (value === undefined || value === false) return "";
  if (value instanceof Html) return value.text;
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return escaped(safe(shortened(value)));
  return value.map(textOf).join("");
}

function shortened(text: string): string {
  if (text.length <= MOST_TEXT) return text;
  return `${text.slice(0, MOST_TEXT)} ... (${text.length - MOST_TEXT} more characters)`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
};

function escaped(text: string): string {
  return text.replace(/[&<>"'`]/gu, (c) => ENTITIES[c]!);
}

/**
 * A text of the person's own (title, file name), in its own letters. What cannot be seen or turns the direction of
 * writing becomes an escape all the same, for file names come from others, too.
 */
export function people(text: string): Html {
  const shown = shortened(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
  return new Html(escaped(shown));
}

/** A text of more lines than a value has: at most so many characters, with a word about the rest. */
export function longText(text: string, most: number): Html {
  const lines = text.slice(0, most).split("\n");
  const rest = text.length > most ? markup`\n... (${text.length - most} more characters)` : markup``;
  return markup`${lines.map((line, i) => [i === 0 ? "" : new Html("\n"), new Html(escaped(safe(line)))])}${rest}`;
}

/** Pieces with others between them. */
export function joined(pieces: readonly Piece[], between: Html): Piece[] {
  return pieces.flatMap((piece, i) => (i === 0 ? [piece] : [between, piece]));
}
