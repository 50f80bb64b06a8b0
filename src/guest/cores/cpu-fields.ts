import type { PlainDevice } from "../../codec/vmstate/index.js";

/** The fields of a "cpu" section as numbers. Missing fields are zero. */
export class CpuFields {
  readonly #plain: PlainDevice;

  constructor(plain: PlainDevice) {
    this.#plain = plain;
  }

  has(name: string, subsection?: string): boolean {
    return this.#value(name, subsection) !== undefined;
  }

  /** Whether the first element of an array has 64 bits. */
  isWide(name: string): boolean {
    const value = this.#value(name);
    return Array.isArray(value) && typeof value[0] === "string";
  }

  number(name: string, subsection?: string): bigint {
    return toNumber(this.#value(name, subsection));
  }

  /** Element by element. */
  array(name: string, length: number, subsection?: string): bigint[] {
    const value = this.#value(name, subsection);
    return Array.from({ length }, (_, k) => (Array.isArray(value) ? toNumber(value[k]) : 0n));
  }

  /** Bytes without a description, each element as one big-endian number. */
  bytes(name: string, length: number, subsection?: string): bigint[] {
    const value = this.#value(name, subsection);
    return Array.from({ length }, (_, k) => {
      const digits: unknown = Array.isArray(value) ? value[k] : k === 0 ? value : undefined;
      return typeof digits === "string" && /^[0-9a-f]+$/u.test(digits) ? BigInt(`0x${digits}`) : 0n;
    });
  }

  #value(name: string, subsection?: string): unknown {
    const { fields, subsections } = this.#plain;
    if (subsection === undefined) return fields[name];
    const inside = subsections[subsection] as { fields?: Record<string, unknown> } & Record<string, unknown>;
    return inside?.fields?.[name] ?? inside?.[name];
  }
}

/** A register that a function of its own saves is an object with its `value`. */
function toNumber(value: unknown): bigint {
  if (typeof value === "object" && value !== null && "value" in value) return toNumber(value.value);
  return typeof value === "string" || typeof value === "number" || typeof value === "bigint" ? BigInt(value) : 0n;
}
