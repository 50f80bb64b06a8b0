import type { QemuFileReader } from "../../bytes/index.js";
import { decodeArray, decodeNull } from "./arrays.js";
import { checkSize, Choices, MAX_VALUES, MAX_WORK, newContext, type DecodeContext } from "./context.js";
import type { DecodeDeviceOptions } from "./device.js";
import { oldStyleName, type DeviceDescription, type FieldDescription, type StructDescription } from "./description.js";
import { decodeElement, structKind } from "./elements.js";
import { fieldGroups, isNull, type FieldGroup } from "./groups.js";
import { privateCodec, recordLength, tryRecord } from "./private/index.js";
import { presentElement } from "./lists.js";
import { decodeStruct, decodeSubsectionHead, subsectionAhead } from "./struct.js";

/** The known subsections of a vmsd, by name. */
export type KnownSubsections = (struct: StructDescription) => ReadonlyMap<string, StructDescription> | undefined;

interface FitContext extends DecodeContext {
  readonly known: KnownSubsections;
}

/** Maximum distance to the end of a private field, bytes. */
const FARTHEST = 1 << 20;

/**
 * Adapts a description from another capture to the bytes at hand: with the subsections that are present (recognised
 * like QEMU's loader, by 0x05 and a name that begins with the vmsd's) and the actual queue lengths. The reader's buffer
 * holds the payload. The reader's position is unchanged afterwards, also on errors.
 * @throws QevmError `bad-description`, `bad-value`, `truncated` at the first byte that does not fit
 */
export function fitDevice(
  reader: QemuFileReader,
  device: DeviceDescription,
  known: KnownSubsections,
  options: DecodeDeviceOptions = {},
): DeviceDescription {
  const start = reader.position;
  const depth = reader.path.length;
  const context = newContext(
    reader,
    new Choices(),
    options.maxValues ?? MAX_VALUES,
    oldStyleName(device),
    decodeStruct,
  );
  const ctx: FitContext = { ...context, known };
  try {
    const whole = options.endsAt && privateDevice(reader, device, { ...options, endsAt: options.endsAt });
    if (whole !== undefined) return whole;
    const { subsections: _, ...rest } = device;
    return { ...rest, ...fitStruct(ctx, device) };
  } finally {
    reader.position = start;
    reader.path.length = depth;
  }
}

/**
 * A device that is one private field (virtio). Its length depends on its queues and negotiated features, so its end is
 * a position where the section can end and the codec fits exactly. The number of tried ends is bounded by their bytes.
 * Undefined: it is not such a device, or fits nowhere. The reader's position is unchanged.
 */
export function privateDevice(
  reader: QemuFileReader,
  device: DeviceDescription,
  options: DecodeDeviceOptions & { endsAt: (offset: number) => boolean },
): DeviceDescription | undefined {
  const [entry, second] = device.fields;
  if (entry === undefined || second !== undefined) return undefined;
  const codec = privateCodec(entry.type, { vmsdName: device.vmsdName, oldStyle: oldStyleName(device) });
  if (codec === undefined) return undefined;
  const most = Math.min(reader.available, FARTHEST);
  const rest = reader.buffer.subarray(reader.position, reader.position + most);
  const fits = (size: number): boolean =>
    options.endsAt(reader.offset + size) && tryRecord(codec, rest.subarray(0, size)) !== undefined;
  const sized = (size: number): DeviceDescription => {
    const fields = [{ ...entry, size }];
    return device.size === undefined ? { ...device, fields } : { ...device, fields, size };
  };
  // Before an end without footer, each zero of a table could be the end.
  const own = recordLength(codec, rest);
  if (own !== undefined && fits(own)) return sized(own);
  let work = options.maxWork ?? MAX_WORK;
  for (let size = 0; size <= most && work >= 0; size++) {
    if (!options.endsAt(reader.offset + size)) continue;
    work -= size;
    if (fits(size)) return sized(size);
  }
  return undefined;
}

function fitStruct(ctx: FitContext, struct: StructDescription): StructDescription {
  const { reader } = ctx;
  const depth = reader.path.length;
  const outer = ctx.vmsdName;
  ctx.vmsdName = struct.vmsdName;
  const fields: FieldDescription[] = [];
  for (const group of fieldGroups(struct)) {
    reader.path[depth] = group.key;
    fields.push(...fitGroup(ctx, group));
  }
  ctx.vmsdName = outer;
  const subsections: StructDescription[] = [];
  const candidates = ctx.known(struct);
  for (let name = subsectionAhead(reader, struct); name !== undefined; name = subsectionAhead(reader, struct)) {
    reader.path[depth] = `subsection ${JSON.stringify(name)}`;
    const found = candidates?.get(name);
    if (found === undefined) {
      throw reader.error("bad-description", "the schema does not describe this subsection", {
        found: JSON.stringify(name),
      });
    }
    decodeSubsectionHead(ctx, found);
    subsections.push(fitStruct(ctx, found));
  }
  reader.path.length = depth;
  const { subsections: _, ...rest } = struct;
  return subsections.length === 0 ? { ...rest, fields } : { ...rest, fields, subsections };
}

function fitGroup(ctx: FitContext, group: FieldGroup): readonly FieldDescription[] {
  const { entries } = group;
  // Only arrays described element by element can contain structs with subsections.
  if (entries.every((entry) => isAdaptable(entry))) return entries.map((entry) => fitEntry(ctx, entry));
  if (group.isArray) {
    decodeArray(ctx, group);
    return entries;
  }
  const entry = entries[0]!;
  const from = ctx.reader.position;
  if (isNull(entry)) decodeNull(ctx);
  else decodeElement(ctx, entry);
  checkSize(ctx, from, entry.size, `field "${group.key}"`);
  return entries;
}

function isAdaptable(entry: FieldDescription): boolean {
  if (entry.arrayLength !== undefined || isNull(entry)) return false;
  return structKind(entry) !== undefined || isList(entry);
}

function isList({ type }: FieldDescription): boolean {
  return type === "qtailq" || type === "qlist";
}

function fitEntry(ctx: FitContext, entry: FieldDescription): FieldDescription {
  const { reader } = ctx;
  const from = reader.position;
  if (isList(entry)) {
    const described = entry.inlined ?? [];
    const inlined: StructDescription[] = [];
    while (presentElement(ctx)) {
      const like = described[inlined.length] ?? described.at(-1);
      if (like === undefined) {
        throw reader.error("bad-description", "the schema's queue is empty: it does not say what its elements are", {
          offset: reader.offset - 1,
        });
      }
      inlined.push(fitStruct(ctx, like));
    }
    const { inlined: _, ...rest } = entry;
    const size = reader.position - from;
    return inlined.length === 0 ? { ...rest, size } : { ...rest, inlined, size };
  }
  const struct = fitStruct(ctx, structKind(entry)!);
  const size = reader.position - from;
  return entry.type === "struct" ? { ...entry, struct, size } : { ...entry, inlined: [struct], size };
}
