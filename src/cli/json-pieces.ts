/** Characters per piece. */
const PIECE = 1 << 16;

/**
 * The text of `JSON.stringify(value, null, 2)` in pieces of about 64 Ki characters, with 64-bit integers as decimal
 * strings. The whole text is never in memory. The result of an element's `toJSON` is kept only while it is written, so
 * a long list can create its elements one by one.
 */
export function* jsonPieces(value: unknown): Generator<string> {
  let text = "";
  for (const token of tokens(value, "", "\n")) {
    text += token;
    if (text.length < PIECE) continue;
    yield text;
    text = "";
  }
  if (text !== "") yield text;
}

/** `line`: a line break and the indent of the value's line. */
function* tokens(given: unknown, key: string, line: string): Generator<string> {
  const value = plain(given, key);
  if (typeof value !== "object" || value === null) {
    yield leaf(value);
    return;
  }
  const inner = `${line}  `;
  let lead = inner;
  if (Array.isArray(value)) {
    yield "[";
    for (let i = 0; i < value.length; i++) {
      const element: unknown = value[i];
      // Fast path: long arrays contain numbers.
      if (typeof element === "number") yield `${lead}${leaf(element)}`;
      else {
        yield lead;
        yield* tokens(element, String(i), inner);
      }
      lead = `,${inner}`;
    }
    yield lead === inner ? "]" : `${line}]`;
    return;
  }
  yield "{";
  for (const name in value) {
    if (!Object.hasOwn(value, name)) continue;
    const member: unknown = (value as Readonly<Record<string, unknown>>)[name];
    if (!isWritten(member)) continue;
    yield `${lead}${JSON.stringify(name)}: `;
    yield* tokens(member, name, inner);
    lead = `,${inner}`;
  }
  yield lead === inner ? "}" : `${line}}`;
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
  if (typeof value === "bigint") return `"${value}"`;
  return isWritten(value) ? JSON.stringify(value) : "null";
}
