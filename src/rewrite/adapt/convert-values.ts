import type { FieldDescription, FieldValue } from "../../codec/vmstate/index.js";
import { isZero, type MergeContext } from "./context.js";

const INTEGER = /^u?int(?:8|16|32|64)(?: equal| le)?$/u;

/**
 * A number in the width of the pattern; undefined: one of the two is not a number. A value that does not fit is
 * noted.
 */
export function convertScalar(
  value: FieldValue,
  from: FieldDescription,
  to: FieldDescription,
  ctx: MergeContext,
): FieldValue | undefined {
  const plain = typeof value === "boolean" ? Number(value) : value;
  if (typeof plain !== "number" && typeof plain !== "bigint") return undefined;
  if (to.type === "bool" && INTEGER.test(from.type)) {
    ctx.note("width", "form", value, plain !== 0 && plain !== 0n, `${from.type} became ${to.type}`);
    return plain !== 0 && plain !== 0n;
  }
  if (!INTEGER.test(to.type) || !(INTEGER.test(from.type) || from.type === "bool")) return undefined;
  const bits = to.size * 8;
  const wide = BigInt(plain);
  const cut = to.type.startsWith("u") ? BigInt.asUintN(bits, wide) : BigInt.asIntN(bits, wide);
  const fits = cut === wide || BigInt.asUintN(bits, cut) === BigInt.asUintN(from.size * 8, wide);
  const now = bits === 64 ? cut : Number(cut);
  ctx.note("width", fits ? "form" : "guest", value, now, `${from.type} became ${to.type}`);
  return now;
}

/** Bytes in the length of the pattern: the rest is the pattern's, or left out. */
export function resizeBytes(value: Uint8Array, pattern: Uint8Array, ctx: MergeContext): Uint8Array {
  const resized = pattern.slice();
  resized.set(value.subarray(0, pattern.length));
  const lost = !isZero(value.subarray(pattern.length));
  ctx.note("length", lost ? "guest" : "form", value, resized, `${value.length} bytes became ${pattern.length}`);
  return resized;
}
