import { JsonNumber, JsonObject, type JsonStyle, type JsonValue } from "./json.js";

/** Prints JSON in the given style of QEMU. */
export function printJson(value: JsonValue, style: JsonStyle): string {
  const writer = new JsonWriter(style);
  print(value, writer);
  return writer.text;
}

function print(value: JsonValue, writer: JsonWriter): void {
  if (typeof value === "string") {
    writer.string(value);
  } else if (value instanceof JsonNumber) {
    writer.raw(value.text);
  } else if (Array.isArray(value)) {
    writer.open("[");
    for (const item of value) print(item, writer);
    writer.close("]");
  } else if (value instanceof JsonObject) {
    writer.open("{");
    for (const member of value.members) {
      writer.key(member.key);
      print(member.value, writer);
    }
    writer.close("}");
  } else {
    writer.raw(String(value));
  }
}

/** Writes JSON piece by piece and inserts the commas. */
export class JsonWriter {
  /** The text so far; empty where {@link append} is overridden. */
  text = "";
  private readonly inner: string;
  private readonly colon: string;
  private readonly ascii: boolean;
  private comma = false;

  constructor(style: JsonStyle) {
    this.ascii = style === "compact";
    this.inner = this.ascii ? "" : " ";
    this.colon = this.ascii ? ": " : " : ";
  }

  open(bracket: "[" | "{"): void {
    this.raw(bracket);
    this.append(this.inner);
    this.comma = false;
  }

  close(bracket: "]" | "}"): void {
    this.append(this.inner);
    this.append(bracket);
    this.comma = true;
  }

  key(key: string): void {
    this.string(key);
    this.append(this.colon);
    this.comma = false;
  }

  string(value: string): void {
    this.raw(this.ascii && SPECIAL.test(value) ? quoteAscii(value) : `"${value}"`);
  }

  /** A number, or any other text verbatim. */
  raw(text: string | number): void {
    if (this.comma) this.append(", ");
    this.append(String(text));
    this.comma = true;
  }

  /** Appends characters to the output. */
  protected append(text: string): void {
    this.text += text;
  }
}

/** Compares the output with an existing text, and stores nothing. */
export class JsonMatcher extends JsonWriter {
  private at = 0;
  private same = true;

  constructor(
    style: JsonStyle,
    private readonly expected: string,
  ) {
    super(style);
  }

  /** Whether exactly the expected text was written. */
  get matches(): boolean {
    return this.same && this.at === this.expected.length;
  }

  protected override append(text: string): void {
    this.same &&= this.expected.startsWith(text, this.at);
    this.at += text.length;
  }
}

// oxlint-disable-next-line no-control-regex -- control characters are what must be escaped
const SPECIAL = /["\\\u0000-\u001f\u007f-\uffff]/;
const SPECIALS = new RegExp(SPECIAL, "g");
const SHORT: Record<string, string> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

function quoteAscii(text: string): string {
  const escaped = text.replace(SPECIALS, (char) => {
    return SHORT[char] ?? `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`;
  });
  return `"${escaped}"`;
}
