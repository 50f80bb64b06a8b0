import { QevmError } from "../../bytes/errors.js";
import { printExactJson } from "../../bytes/exact-json.js";
import type { PlainCommand } from "../../codec/stream/index.js";

/** `manifest.json` of an unpacked stream. Every key is required unless noted; unknown keys are refused. */
export interface Manifest {
  qevm: "unpacked stream";
  version: 1;
  pageSize: number;
  ram: ManifestRam;
  /** The description by which devices were taken apart, where the stream has none and one was lent. */
  schema?: string;
  items: ManifestItem[];
}

/** The RAM of an unpacked stream. */
export interface ManifestRam {
  /** In the order of the block list. */
  blocks: ManifestBlock[];
  /** One a MEM_SIZE record: its total, and how many of the blocks it lists. */
  lists: { total: number; blocks: number }[];
  /** There are XBZRLE records. */
  xbzrle: boolean;
}

/** A RAM block of an unpacked stream. */
export interface ManifestBlock {
  name: string;
  length: number;
  file: string;
  /** Only where the stream has them; hex. */
  pageSize?: string;
  address?: string;
}

/** A part of an unpacked stream, in the order of the stream. */
export type ManifestItem =
  | { item: "header"; version: number }
  | { item: "configuration"; machine: string; subsections: ManifestSubsection[] }
  | {
      item: "section";
      type: "start" | "full";
      id: number;
      name: string;
      instance: number;
      version: number;
      content: string;
    }
  | { item: "section"; type: "part" | "end"; id: number; content: string }
  | { item: "footer"; id: number }
  /** A command with the fields of its payload. PACKAGED has none: the items up to `package-end` are its package. */
  | ({ item: "command" } & PlainCommand)
  | { item: "package-end" }
  | { item: "eof" }
  | { item: "vmdescription"; file: string }
  | { item: "bytes"; what: string; file: string };

/** A subsection of the configuration of an unpacked stream. */
export type ManifestSubsection =
  | { name: "configuration/target-page-bits"; version: number; bits: number }
  | { name: "configuration/capabilities"; version: number; capabilities: string[] }
  | { name: "configuration/uuid"; version: number; uuid: string };

/** An object of a JSON file whose keys are taken one by one; the rest is unknown. */
export class Keys {
  private readonly left: Map<string, unknown>;

  /** @param at where the object is, for example `manifest.json: items[3]` */
  constructor(
    value: unknown,
    readonly at: string,
  ) {
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw refuse(at, "an object", value);
    this.left = new Map(Object.entries(value));
  }

  has(key: string): boolean {
    return this.left.has(key);
  }

  take(key: string): unknown {
    if (!this.left.has(key)) throw new QevmError("bad-description", `${this.at}: no key ${JSON.stringify(key)}`);
    const value = this.left.get(key);
    this.left.delete(key);
    return value;
  }

  text(key: string): string {
    const value = this.take(key);
    if (typeof value !== "string") throw refuse(`${this.at}: ${key}`, "a string", value);
    return value;
  }

  integer(key: string, max = Number.MAX_SAFE_INTEGER): number {
    const value = this.take(key);
    if (!Number.isSafeInteger(value) || (value as number) < 0 || (value as number) > max) {
      throw refuse(`${this.at}: ${key}`, `a whole number from 0 to ${max}`, value);
    }
    return value as number;
  }

  hex(key: string): Uint8Array {
    const text = this.text(key);
    if (!/^(?:[0-9a-f]{2})*$/iu.test(text)) throw refuse(`${this.at}: ${key}`, "hex digits", text);
    return Uint8Array.from(text.match(/../gu) ?? [], (pair) => Number.parseInt(pair, 16));
  }

  big(key: string): bigint {
    const text = this.text(key);
    if (!/^0x[0-9a-f]{1,16}$/iu.test(text)) throw refuse(`${this.at}: ${key}`, "0x and up to 16 hex digits", text);
    return BigInt(text);
  }

  list<T>(key: string, each: (value: unknown, at: string) => T): T[] {
    const value = this.take(key);
    if (!Array.isArray(value)) throw refuse(`${this.at}: ${key}`, "a list", value);
    return value.map((item, i) => each(item, `${this.at}: ${key}[${i}]`));
  }

  /** A plain file name or `folder/name` inside the unpacked folder. */
  file(key: string): string {
    const text = this.text(key);
    if (
      text === "" ||
      text.startsWith("/") ||
      text.split(/[\\/]/u).some((step) => step === ".." || step === "." || step === "")
    ) {
      throw refuse(`${this.at}: ${key}`, "a path inside the folder", text);
    }
    return text;
  }

  /** Nothing may be left. */
  done(): void {
    for (const key of this.left.keys()) {
      throw new QevmError("bad-description", `${this.at}: unknown key ${JSON.stringify(key)}`);
    }
  }
}

export function refuse(at: string, expected: string, found: unknown): QevmError {
  const text = printExactJson(found);
  return new QevmError("bad-description", at, { expected, found: text.length > 80 ? `${text.slice(0, 80)}...` : text });
}
