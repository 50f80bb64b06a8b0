/** Words for the shapes of JSON documents. */

/** A JSON Schema, without the descriptions. */
export interface Shape {
  readonly [keyword: string]: unknown;
}

/** A member that may be absent. */
class Optional {
  constructor(readonly shape: Shape) {}
}

export type Members = Readonly<Record<string, Shape | Optional>>;

export const text: Shape = { type: "string" };
export const bool: Shape = { type: "boolean" };
export const whole: Shape = { type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER };
export const number: Shape = { type: "number" };
/** 64-bit values of the guest and of the wire. */
export const hex: Shape = { type: "string", pattern: "^-?0x[0-9a-f]+$" };
export const digits: Shape = { type: "string", pattern: "^(?:[0-9a-f]{2})*$" };
export const anything: Shape = {};
export const texts = list(text);
export const counts = map(whole);

export function one(...values: readonly (string | number)[]): Shape {
  return { enum: values };
}

export function list(items: Shape): Shape {
  return { type: "array", items };
}

/** An object whose names are data. */
export function map(values: Shape): Shape {
  return { type: "object", additionalProperties: values };
}

export function opt(shape: Shape): Optional {
  return new Optional(shape);
}

export function orNull(shape: Shape): Shape {
  return typeof shape["type"] === "string" && shape["enum"] === undefined
    ? { ...shape, type: [shape["type"], "null"] }
    : { anyOf: [shape, { type: "null" }] };
}

/** An object with these members; others only where `more` is given. */
export function obj(members: Members, more: Shape | false = false): Shape {
  const properties: Record<string, Shape> = {};
  const required: string[] = [];
  for (const [name, member] of Object.entries(members)) {
    properties[name] = member instanceof Optional ? member.shape : member;
    if (!(member instanceof Optional)) required.push(name);
  }
  return { type: "object", additionalProperties: more, required, properties };
}

export function pair(shape: Shape): Shape {
  return obj({ a: shape, b: shape });
}
