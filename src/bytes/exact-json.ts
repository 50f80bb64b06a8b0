/**
 * Parses JSON without losing digits. `JSON.parse` rounds integers beyond 2^53 - 1; here they become bigints. Any other
 * number that a double cannot hold exactly becomes a string with the original digits. Errors: SyntaxError.
 */
export function parseExactJson(text: string): unknown {
  // Parses the original text first, so that syntax errors refer to its positions.
  const value: unknown = JSON.parse(text);
  // A prefix that does not occur in the text, so that no string in it is mistaken for a number.
  let mark = "exact ";
  while (text.includes(mark)) mark += "#";
  const marked = markInexact(text, mark);
  if (marked === undefined) return value;
  return JSON.parse(marked, (_, one: unknown) => {
    if (typeof one !== "string" || !one.startsWith(mark)) return one;
    const typed = one.slice(mark.length);
    return /^-?\d+$/u.test(typed) ? BigInt(typed) : typed;
  });
}

/** Formats such a value for messages: bigints as digits. */
export function printExactJson(value: unknown): string {
  return JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? one.toString() : one)) ?? "nothing";
}

const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/y;

/** The JSON text with inexact numbers turned into strings that begin with `mark`; undefined if there are none. */
function markInexact(text: string, mark: string): string | undefined {
  const pieces: string[] = [];
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      at = endOfString(text, at);
    } else if (code === MINUS || (code >= ZERO && code <= NINE)) {
      NUMBER.lastIndex = at;
      const token = NUMBER.exec(text)?.[0] ?? "";
      if (!isExact(token)) {
        pieces.push(text.slice(from, at), JSON.stringify(mark + token));
        from = at + token.length;
      }
      at += Math.max(0, token.length - 1);
    }
  }
  if (pieces.length === 0) return undefined;
  return pieces.join("") + text.slice(from);
}

const [QUOTE, MINUS, ZERO, NINE, BACKSLASH] = [0x22, 0x2d, 0x30, 0x39, 0x5c];

/** The index of the closing quote of the string that begins at `at`. */
function endOfString(text: string, at: number): number {
  for (let i = at + 1; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return i;
    if (code === BACKSLASH) i++;
  }
  return text.length;
}

function isExact(token: string): boolean {
  const number = Number(token);
  return Number.isSafeInteger(number) || String(number) === token;
}
