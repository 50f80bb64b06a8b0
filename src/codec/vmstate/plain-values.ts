import { QevmError } from "../../bytes/errors.js";
import { describeValue } from "./primitives.js";

/** JSON values, and bigint. */
export type PlainValue = null | boolean | number | bigint | string | PlainValue[] | { [key: string]: PlainValue };

/** Keys, outermost first, for errors. */
export type KeyPath = string[];

export function refusePlain(path: KeyPath, expected: string, found: unknown): QevmError {
  return new QevmError("does-not-fit", "the value does not fit its field", {
    path: [...path],
    expected,
    found: describeValue(found),
  });
}

/** `0x1f`; `-0x1f` for negative values. */
export function printBig(value: bigint): string {
  return value < 0n ? `-0x${(-value).toString(16)}` : `0x${value.toString(16)}`;
}

const INTEGER = /^(-?)(0[xX][0-9a-fA-F]{1,16}|[0-9]{1,20})$/;

/** A 64-bit integer from a decimal or hexadecimal string, a bigint or a safe integer. */
export function parseBig(plain: unknown, min: bigint, max: bigint, path: KeyPath): bigint {
  let value: bigint | undefined;
  if (typeof plain === "bigint") value = plain;
  else if (typeof plain === "number" && Number.isSafeInteger(plain)) value = BigInt(plain);
  else if (typeof plain === "string") {
    const match = INTEGER.exec(plain);
    if (match !== null) value = match[1] === "-" ? -BigInt(match[2]!) : BigInt(match[2]!);
  }
  if (value === undefined || value < min || value > max) {
    throw refusePlain(path, `an integer from ${printBig(min)} to ${printBig(max)}`, plain);
  }
  return value;
}

/** An integer of up to 32 bits, in the same notations. */
export function parseSmall(plain: unknown, min: number, max: number, path: KeyPath): number {
  if (typeof plain === "number" && Number.isInteger(plain) && plain >= min && plain <= max) return plain + 0;
  if (typeof plain === "number") throw refusePlain(path, `an integer from ${min} to ${max}`, plain);
  return Number(parseBig(plain, BigInt(min), BigInt(max), path));
}

export function printBytes(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte]!;
  return text;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Bytes from hex digits; exactly `count` of them where given. */
export function parseBytes(plain: unknown, count: number | undefined, path: KeyPath): Uint8Array {
  const expected = count === undefined ? "bytes as hex digits" : `${count} bytes as ${2 * count} hex digits`;
  if (typeof plain !== "string" || plain.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(plain)) {
    throw refusePlain(path, expected, plain);
  }
  if (count !== undefined && plain.length !== 2 * count) {
    throw refusePlain(path, expected, `${plain.length} hex digits`);
  }
  const bytes = new Uint8Array(plain.length / 2);
  for (let i = 0; i < bytes.length; i++) bytes[i] = Number.parseInt(plain.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}

export function parseArray(plain: unknown, expected: string, path: KeyPath): unknown[] {
  if (!Array.isArray(plain)) throw refusePlain(path, expected, plain);
  return plain as unknown[];
}

/** The members of a plain object. Each must be taken once: unknown and missing keys are refused. */
export class Taking {
  private readonly left: Set<string>;
  private readonly object: Record<string, unknown>;

  constructor(
    plain: unknown,
    private readonly path: KeyPath,
  ) {
    if (typeof plain !== "object" || plain === null || Array.isArray(plain) || plain instanceof Uint8Array) {
      throw refusePlain(path, "an object", plain);
    }
    this.object = plain as Record<string, unknown>;
    this.left = new Set(Object.keys(plain));
  }

  /** The value of a required key. */
  take(key: string): unknown {
    if (!this.left.delete(key)) {
      throw new QevmError("bad-description", "a key is missing", {
        path: [...this.path],
        expected: JSON.stringify(key),
      });
    }
    return this.object[key];
  }

  has(key: string): boolean {
    return this.left.has(key);
  }

  /** Refuses any key that was not taken. */
  done(): void {
    if (this.left.size === 0) return;
    const keys = [...this.left].slice(0, 5).map((key) => JSON.stringify(key));
    throw new QevmError("bad-description", "keys that this device does not have", {
      path: [...this.path],
      found: keys.join(", "),
    });
  }
}
