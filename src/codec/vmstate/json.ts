import { QevmError, type ErrorCode } from "../../bytes/errors.js";

/**
 * A small JSON reader for VMDESCRIPTION texts; `json-print.ts` prints them.
 *
 * `JSON.parse` does not fit: queues and trees write *duplicate keys* into one object (all of them matter), the order of
 * members is the order of bytes on the wire, integers have up to 64 bits, and both of QEMU's text forms must be
 * reproduced exactly. `jsonc-parser` keeps duplicates, but recurses without bound.
 *
 * | form      | written by | text                                     |
 * |-----------|------------|------------------------------------------|
 * | `compact` | QEMU 6.0 - | `{"a": 1, "b": [], "c": {}}`, ASCII only |
 * | `spaced`  | QEMU - 5.2 | `{ "a" : 1, "b" : [  ], "c" : {  } }`    |
 *
 * Source: QEMU qobject/json-writer.c (6.0 to 10.1), migration/qjson.c (up to 5.2, which escapes nothing).
 */
export type JsonValue = null | boolean | string | JsonNumber | JsonValue[] | JsonObject;

/** A number as its exact text. */
export class JsonNumber {
  constructor(readonly text: string) {}
}

/** An object as its ordered members, including duplicates. */
export class JsonObject {
  readonly members: JsonMember[] = [];
  /** @param offset absolute offset of the opening brace, for errors */
  constructor(readonly offset = 0) {}
}

/** The result of {@link JsonLimits.element} for an element. */
export class JsonTaken extends JsonObject {
  constructor(
    readonly value: object,
    offset: number,
  ) {
    super(offset);
  }
}

interface JsonMember {
  key: string;
  value: JsonValue;
  /** Absolute offset of the key. */
  offset: number;
}

/** How QEMU spaces its JSON: with spaces until 5.2. */
export type JsonStyle = "compact" | "spaced";

/** Bounds of the JSON parser. */
export interface JsonLimits {
  /** Maximum nesting of objects and arrays. Default 128. */
  maxDepth?: number;
  /** Maximum number of values and members together. Default 4,000,000. */
  maxNodes?: number;
  /** Maximum length in characters. Default 64 Mi. */
  maxLength?: number;
  /**
   * @internal
   * Converts each element of an array that is the value of the member `key` as soon as it is parsed, so that the whole
   * text never exists as a JSON tree. Undefined: keep the element.
   */
  element?: (key: string, value: JsonValue, offset: number) => object | undefined;
}

/** The bounds where none are given. */
export const JSON_LIMITS = { maxDepth: 128, maxNodes: 4_000_000, maxLength: 1 << 26 };

/**
 * Parses one JSON text. Characters are not decoded (pass Latin-1 text to keep bytes).
 * @param offset absolute byte offset of the text, for errors
 * @throws QevmError `bad-description` with the offset of the first wrong character, `limit` where a bound is exceeded
 */
export function parseJson(text: string, offset = 0, limits: JsonLimits = {}): JsonValue {
  const { maxDepth, maxNodes, maxLength } = { ...JSON_LIMITS, ...limits };
  if (text.length > maxLength) {
    throw new QevmError("limit", "the description is too long", {
      offset,
      expected: `at most ${maxLength} characters`,
      found: `${text.length}`,
    });
  }
  const parser = new Parser(text, offset, maxDepth, maxNodes, limits.element);
  return parser.whole();
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
/** Maximum number of shared strings, and their maximum length. */
const MOST_SHARED = 4096;
const LONGEST_SHARED = 64;
const ESCAPES: Record<string, string> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

class Parser {
  private at = 0;
  private depth = 0;
  private nodes = 0;
  /** Short strings that were read before. Most are names that repeat. */
  private readonly strings = new Map<string, string>();

  constructor(
    private readonly text: string,
    private readonly base: number,
    private readonly maxDepth: number,
    private readonly maxNodes: number,
    private readonly element: JsonLimits["element"],
  ) {}

  whole(): JsonValue {
    const value = this.value();
    this.space();
    if (this.at < this.text.length) throw this.fail("text follows the JSON value");
    return value;
  }

  /** @param key the member whose value it is */
  private value(key = ""): JsonValue {
    this.space();
    this.count();
    const code = this.text.charCodeAt(this.at);
    if (code === QUOTE) return this.string();
    if (code === 0x7b) return this.object();
    if (code === 0x5b) return this.array(key);
    if (this.text.startsWith("true", this.at)) return this.word(4, true);
    if (this.text.startsWith("false", this.at)) return this.word(5, false);
    if (this.text.startsWith("null", this.at)) return this.word(4, null);
    return this.number();
  }

  private object(): JsonObject {
    const object = new JsonObject(this.base + this.at);
    this.open();
    if (this.closes(0x7d)) return object;
    for (;;) {
      this.space();
      this.count();
      const offset = this.base + this.at;
      if (this.text.charCodeAt(this.at) !== QUOTE) throw this.fail("expected a member name");
      const key = this.string();
      this.space();
      if (this.text.charCodeAt(this.at) !== COLON) throw this.fail("expected ':'");
      this.at++;
      object.members.push({ key, value: this.value(key), offset });
      if (!this.comma(0x7d)) return object;
    }
  }

  private array(key: string): JsonValue[] {
    const array: JsonValue[] = [];
    const offset = this.base + this.at;
    this.open();
    if (this.closes(0x5d)) return array;
    do {
      const value = this.value();
      const at = value instanceof JsonObject ? value.offset : offset;
      const taken = this.element?.(key, value, at);
      array.push(taken === undefined ? value : new JsonTaken(taken, at));
    } while (this.comma(0x5d));
    return array;
  }

  /** After a member: true at a comma, false at the end of the container. */
  private comma(close: number): boolean {
    this.space();
    if (this.text.charCodeAt(this.at) === COMMA) {
      this.at++;
      return true;
    }
    if (this.closes(close)) return false;
    throw this.fail(`expected ',' or '${String.fromCharCode(close)}'`);
  }

  private closes(close: number): boolean {
    this.space();
    if (this.text.charCodeAt(this.at) !== close) return false;
    this.at++;
    this.depth--;
    return true;
  }

  private open(): void {
    this.at++;
    if (++this.depth > this.maxDepth) {
      throw this.fail(`nested deeper than ${this.maxDepth} (maxDepth)`, "limit");
    }
  }

  private count(): void {
    if (++this.nodes > this.maxNodes) throw this.fail(`more than ${this.maxNodes} values (maxNodes)`, "limit");
  }

  private string(): string {
    const { text } = this;
    let from = ++this.at;
    let out = "";
    for (;;) {
      const code = text.charCodeAt(this.at);
      if (code === QUOTE) {
        const rest = text.slice(from, this.at++);
        return out === "" ? this.shared(rest) : out + rest;
      }
      // At the end of the text `code` is NaN, which fails this comparison too.
      if (!(code >= 0x20)) throw this.fail("unterminated string or control character in it");
      if (code !== BACKSLASH) {
        this.at++;
        continue;
      }
      out += text.slice(from, this.at) + this.escape();
      from = this.at;
    }
  }

  private shared(text: string): string {
    if (text.length > LONGEST_SHARED) return text;
    const known = this.strings.get(text);
    if (known !== undefined) return known;
    if (this.strings.size < MOST_SHARED) this.strings.set(text, text);
    return text;
  }

  private escape(): string {
    const letter = this.text.charAt(this.at + 1);
    if (letter === "u") {
      const digits = this.text.slice(this.at + 2, this.at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) throw this.fail("bad \\u escape");
      this.at += 6;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const plain = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
    if (plain === undefined) throw this.fail("bad escape");
    this.at += 2;
    return plain;
  }

  private number(): JsonNumber {
    NUMBER.lastIndex = this.at;
    const match = NUMBER.exec(this.text);
    if (match === null) throw this.fail("expected a value");
    this.at = NUMBER.lastIndex;
    return new JsonNumber(match[0]);
  }

  private word<T>(length: number, value: T): T {
    this.at += length;
    return value;
  }

  private space(): void {
    for (;;) {
      const code = this.text.charCodeAt(this.at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.at++;
    }
  }

  private fail(what: string, code: ErrorCode = "bad-description"): QevmError {
    const found =
      this.at < this.text.length ? JSON.stringify(this.text.slice(this.at, this.at + 12)) : "the end of the text";
    return new QevmError(code, `VMDESCRIPTION JSON: ${what}`, { offset: this.base + this.at, found });
  }
}
