import type { DeviceDescription, FieldDescription, StructDescription, VmDescription } from "./description-types.js";

/** JSON levels that one struct in another adds. */
const LEVELS = 4;

/** Characters that QEMU escapes, and the backslash of an escape. */
const OTHER = /[^ -[\]-~]/u;

/** Digits of a number that is below 2^53 for certain. */
const DIGITS = 15;

/**
 * Reads a VMDESCRIPTION that is written exactly as QEMU 6.0 and later write it: members in QEMU's order, one blank
 * after commas and colons, no escapes. Undefined where anything differs: then `parseJson` reads it and says what is
 * wrong. What these QEMUs write is read in a tenth of the time, without a JSON tree.
 * @param maxDepth bound on nested objects and arrays, in levels of JSON
 */
export function readQemuText(text: string, maxDepth: number): VmDescription | undefined {
  const depth = Math.floor(maxDepth / LEVELS) - 1;
  if (depth < 1 || OTHER.test(text)) return undefined;
  try {
    return new TextReader(text, depth).whole();
  } catch (error) {
    if (error instanceof OtherForm) return undefined;
    throw error;
  }
}

/** The text is not as QEMU writes it. */
class OtherForm extends Error {}

class TextReader {
  private at = 0;

  constructor(
    private readonly text: string,
    private depth: number,
  ) {}

  whole(): VmDescription {
    this.literal("{");
    let configuration: StructDescription | undefined;
    if (this.takes('"configuration": {')) {
      configuration = this.struct();
      this.literal("}, ");
    }
    this.literal('"page_size": ');
    const pageSize = this.number();
    this.literal(', "devices": [');
    const devices = this.list(() => this.device());
    this.literal("}");
    if (this.at !== this.text.length) throw new OtherForm();
    return {
      pageSize,
      ...(configuration === undefined ? {} : { configuration }),
      devices,
      style: "compact",
      exact: true,
    };
  }

  private device(): DeviceDescription {
    this.literal('{"name": "');
    const name = this.string();
    this.literal(', "instance_id": ');
    const instanceId = this.number();
    this.literal(", ");
    let device: DeviceDescription;
    if (this.takes('"size": ')) {
      const size = this.number();
      this.literal(', "fields": [');
      device = { name, instanceId, fields: this.list(() => this.oldStyleField()), size };
    } else {
      device = { name, instanceId, ...this.struct() };
    }
    this.literal("}");
    return device;
  }

  private oldStyleField(): FieldDescription {
    this.literal('{"name": "');
    const name = this.string();
    this.literal(', "size": ');
    const size = this.number();
    this.literal(', "type": "');
    const type = this.string();
    this.literal("}");
    return { name, type, size };
  }

  /** The members of a struct, without its braces. */
  private struct(): StructDescription {
    if (this.depth-- <= 0) throw new OtherForm();
    let vmsdName: string | undefined;
    let version: number | undefined;
    if (this.takes('"vmsd_name": "')) {
      vmsdName = this.string();
      this.literal(", ");
    }
    if (this.takes('"version": ')) {
      version = this.number();
      this.literal(", ");
    }
    this.literal('"fields": [');
    const struct: StructDescription = { fields: this.list(() => this.field()) };
    if (vmsdName !== undefined) struct.vmsdName = vmsdName;
    if (version !== undefined) struct.version = version;
    if (this.takes(', "subsections": [')) struct.subsections = this.list(() => this.subsection());
    this.depth++;
    return struct;
  }

  private subsection(): StructDescription {
    this.literal("{");
    const subsection = this.struct();
    this.literal("}");
    if (subsection.vmsdName === undefined || subsection.version === undefined) throw new OtherForm();
    return subsection;
  }

  private field(): FieldDescription {
    this.literal('{"name": "');
    const name = this.string();
    const arrayLength = this.takes(', "array_len": ') ? this.number() : undefined;
    const index = this.takes(', "index": ') ? this.number() : undefined;
    this.literal(', "type": "');
    const field: FieldDescription = { name, type: this.string(), size: 0 };
    if (arrayLength !== undefined) field.arrayLength = arrayLength;
    if (index !== undefined) field.index = index;
    if (this.takes(', "struct": {')) {
      field.struct = this.takes("}") ? null : this.struct();
      if (field.struct !== null) this.literal("}");
    }
    while (this.text.startsWith(', "vmsd_name": "', this.at)) {
      this.at += 2;
      (field.inlined ??= []).push(this.struct());
    }
    this.literal(', "size": ');
    field.size = this.number();
    this.literal("}");
    return field;
  }

  /** The elements of an array whose bracket is read. */
  private list<T>(element: () => T): T[] {
    const list: T[] = [];
    if (this.takes("]")) return list;
    do list.push(element());
    while (this.takes(", "));
    this.literal("]");
    return list;
  }

  private takes(expected: string): boolean {
    if (!this.text.startsWith(expected, this.at)) return false;
    this.at += expected.length;
    return true;
  }

  private literal(expected: string): void {
    if (!this.takes(expected)) throw new OtherForm();
  }

  /** The rest of a string whose first quote is read. */
  private string(): string {
    const end = this.text.indexOf('"', this.at);
    if (end < 0) throw new OtherForm();
    const string = this.text.slice(this.at, end);
    this.at = end + 1;
    return string;
  }

  private number(): number {
    const { text } = this;
    const start = this.at;
    let value = 0;
    for (; ; this.at++) {
      const digit = text.charCodeAt(this.at) - 0x30;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
    }
    const digits = this.at - start;
    const isPadded = digits > 1 && text.charCodeAt(start) === 0x30;
    if (digits === 0 || digits > DIGITS || isPadded) throw new OtherForm();
    return value;
  }
}
