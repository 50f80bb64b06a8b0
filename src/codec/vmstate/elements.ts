import { refuse, spend, type DecodeContext, type EncodeContext } from "./context.js";
import type { FieldDescription } from "./description.js";
import { decodeList, decodeTree, encodeList, encodeTree } from "./lists.js";
import { describeValue, primitive } from "./primitives.js";
import { encodeRecord, privateCodec, tryRecord } from "./private/index.js";
import { isRecordValue, isStructState, type FieldValue } from "./state.js";

/**
 * One value of one field object. NULL pointers are handled in arrays.ts.
 *
 * | JSON type             | bytes          | encoding                                                      |
 * |-----------------------|----------------|---------------------------------------------------------------|
 * | see primitives.ts     | fixed          |                                                               |
 * | `buffer`              | `size`         | raw; also the `data` of old-style handlers                    |
 * | `unused_buffer`       | `size`         | zeros by QEMU; kept as they are                               |
 * | `bitmap`              | 8 x words      | be64 words, bit i is bit i mod 64 of word i / 64              |
 * | `capability`          | 1 + n          | counted string                                                |
 * | `fd`                  | 1 or 4         | 0x20 beside a passed descriptor, or its number                |
 * | `struct`              | varies         | fields, subsections                                           |
 * | `vstruct`, `tmp`      | varies         | the same; described inside the field object                   |
 * | `qtailq`, `qlist`     | varies         | see lists.ts                                                  |
 * | `gtree`               | varies         | see lists.ts                                                  |
 * | anything else         | `size`         | a codec private to the device: bytes under the field's name   |
 *
 * Source: QEMU migration/vmstate-types.c (5.2 to 11.x).
 */
export function decodeElement(ctx: DecodeContext, entry: FieldDescription): FieldValue {
  const { reader } = ctx;
  const fixed = primitive(entry.type);
  if (fixed !== undefined) return fixed.read(reader);
  switch (entry.type) {
    case "struct":
      if (entry.struct) return ctx.struct(ctx, entry.struct);
      break;
    case "vstruct":
    case "tmp":
      if (entry.inlined?.length === 1) return ctx.struct(ctx, entry.inlined[0]!);
      break;
    case "qtailq":
    case "qlist":
      return decodeList(ctx, entry);
    case "gtree":
      return decodeTree(ctx, entry);
    case "bitmap":
      if (entry.size % 8 === 0) return decodeWords(ctx, entry.size / 8);
      break;
    case "capability":
      return reader.string8("capability");
    case "fd":
      if (entry.size === 1) return reader.u8();
      if (entry.size === 4) return reader.u32();
      break;
    case "buffer":
      if (ctx.oldStyle !== undefined) break;
      return reader.bytes(entry.size, entry.type);
    case "unused_buffer":
      return reader.bytes(entry.size, entry.type);
    default:
  }
  const bytes = reader.view(entry.size, entry.type);
  const codec = privateCodec(entry.type, ctx);
  const found = codec === undefined ? undefined : tryRecord(codec, bytes);
  ctx.named += found?.named ?? entry.size;
  return found?.value ?? bytes.slice();
}

export function encodeElement(ctx: EncodeContext, entry: FieldDescription, value: FieldValue): void {
  const { writer } = ctx;
  const fixed = primitive(entry.type);
  if (fixed !== undefined) {
    fixed.write(writer, value);
    return;
  }
  const kind = structKind(entry);
  if (kind !== undefined) {
    if (!isStructState(value) || value.description !== kind) throw wrong(ctx, "the struct of its description", value);
    ctx.struct(ctx, value);
    return;
  }
  switch (entry.type) {
    case "qtailq":
    case "qlist":
      encodeList(ctx, entry, value);
      return;
    case "gtree":
      encodeTree(ctx, entry, value);
      return;
    case "bitmap":
      if (entry.size % 8 === 0) {
        encodeWords(ctx, entry.size / 8, value);
        return;
      }
      break;
    case "capability":
      if (typeof value !== "string") throw wrong(ctx, "a string", value);
      writer.string8(value, "capability");
      return;
    case "fd":
      if (entry.size === 1 || entry.size === 4) {
        if (typeof value !== "number") throw wrong(ctx, "a number", value);
        if (entry.size === 1) writer.u8(value);
        else writer.u32(value);
        return;
      }
      break;
    default:
  }
  const codec = privateCodec(entry.type, ctx);
  if (codec !== undefined && isRecordValue(value)) {
    encodeRecord(writer, codec, entry.size, value, ctx.path, ctx.at);
    return;
  }
  if (!(value instanceof Uint8Array)) throw wrong(ctx, `${entry.size} bytes`, value);
  writer.bytes(value);
}

/** The struct that this field object describes as a whole, if any. */
export function structKind(entry: FieldDescription): (FieldDescription["struct"] & {}) | undefined {
  if (entry.type === "struct") return entry.struct ?? undefined;
  if ((entry.type === "vstruct" || entry.type === "tmp") && entry.inlined?.length === 1) return entry.inlined[0];
  return undefined;
}

function decodeWords(ctx: DecodeContext, count: number): bigint[] {
  const words: bigint[] = [];
  spend(ctx, Math.min(count, Math.ceil(ctx.reader.available / 8)));
  for (let i = 0; i < count; i++) words.push(ctx.reader.u64());
  return words;
}

function encodeWords(ctx: EncodeContext, count: number, value: FieldValue): void {
  if (!Array.isArray(value) || value.length !== count) throw wrong(ctx, `${count} bigint words`, value);
  for (const word of value) {
    if (typeof word !== "bigint") throw wrong(ctx, "a bigint", word);
    ctx.writer.u64(word);
  }
}

function wrong(ctx: EncodeContext, expected: string, value: unknown): Error {
  return refuse(ctx, "the value does not fit its field", expected, describeValue(value));
}
