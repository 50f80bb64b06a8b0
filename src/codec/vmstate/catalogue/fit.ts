import { QevmError } from "../../../bytes/errors.js";
import type { QemuFileReader } from "../../../bytes/index.js";
import { Choices, MAX_ATTEMPTS, MAX_VALUES, MAX_WORK, newContext, Weight } from "../context.js";
import type { DecodeDeviceOptions } from "../device.js";
import type { DeviceDescription } from "../description.js";
import { privateDevice } from "../fit.js";
import { decodeStruct } from "../struct.js";
import { mayHave } from "./alike.js";
import type { Book, Layout } from "./data.js";
import type { FitContext } from "./fit-context.js";
import { fitStruct } from "./fit-struct.js";

/** A layout that fits the bytes of a section, made exact. */
export interface CatalogueFit {
  readonly description: DeviceDescription;
  /** Origins of all its parts, as bits; 0n: no single QEMU is known to have them all. */
  readonly from: bigint;
  /** Origins that may have all its parts: they have some of them with more or fewer fields. */
  readonly may: bigint;
  /** Nothing is certain, and it tells nothing of who wrote the stream: any bytes may be split in this way. */
  readonly guessed?: boolean;
}

/** Every layout that fits a section. */
export interface Fits {
  readonly fits: readonly CatalogueFit[];
  /** All combinations were tried. */
  readonly exhausted: boolean;
  /** What the first one that does not fit failed at. */
  readonly failure: QevmError | undefined;
}

/** How to fit. */
interface FitOptions extends DecodeDeviceOptions {
  /** Whether the section can end at this absolute offset. */
  endsAt: (offset: number) => boolean;
  /** Absolute offset of the last place where it can end; default: none is known. */
  last?: number;
}

type Way = Pick<FitContext, "mixed" | "strict" | "each" | "open">;

/** Ways to fit, the best first: some devices have a `bool` that was never set, and is any byte. */
const WAYS: readonly Way[] = [
  { mixed: false, strict: true, each: false, open: false },
  { mixed: false, strict: false, each: false, open: false },
  { mixed: false, strict: true, each: true, open: false },
  { mixed: false, strict: true, each: false, open: true },
  { mixed: true, strict: true, each: true, open: false },
];

/**
 * Finds every layout of a device that fits the bytes at the reader, which is after the section's header. A layout fits
 * when each of its fields can be there (a `bool` is 0 or 1, unused bytes are 0, a private codec takes its bytes) and the
 * section can end where it ends. Layouts whose parts one QEMU is known to have are preferred: others count only where
 * there is none of these. The reader's position is unchanged afterwards.
 */
export function fitLayouts(
  reader: QemuFileReader,
  book: Book,
  device: { name: string; instanceId: number; layouts: readonly Layout[] },
  options: FitOptions,
): Fits {
  let failure: QevmError | undefined;
  for (const way of WAYS) {
    const fits: CatalogueFit[] = [];
    let exhausted = true;
    for (const root of device.layouts) {
      const found = fitRoot(reader, book, device, root, options, way);
      fits.push(...found.fits);
      exhausted &&= found.exhausted;
      failure ??= found.failure;
    }
    if (fits.length > 0) return { fits, exhausted, failure };
  }
  return { fits: [], exhausted: true, failure };
}

function fitRoot(
  reader: QemuFileReader,
  book: Book,
  { name, instanceId }: { name: string; instanceId: number },
  root: Layout,
  options: FitOptions,
  way: Way,
): Fits {
  const { mixed, strict, each, open } = way;
  const { endsAt, last = Infinity } = options;
  const fits: CatalogueFit[] = [];
  const whole = privateRoot(root, name, instanceId);
  if (whole !== undefined) {
    if (mixed || each || open || !strict) return { fits, exhausted: true, failure: undefined };
    const found = privateDevice(reader, whole, options) ?? bufferDevice(reader, whole, root, options);
    if (found !== undefined) fits.push({ description: found, from: root.from, may: mayHave(book, root) });
    return { fits, exhausted: true, failure: undefined };
  }
  const start = reader.position;
  const depth = reader.path.length;
  const choices = new Choices();
  const values = options.maxValues ?? MAX_VALUES;
  let work = options.maxWork ?? MAX_WORK;
  let failure: QevmError | undefined;
  let exhausted = false;
  try {
    for (let attempt = 0; attempt < (options.maxAttempts ?? MAX_ATTEMPTS) && work >= 0; attempt++) {
      reader.position = start;
      reader.path.length = depth;
      const ctx: FitContext = {
        ...newContext(reader, choices, values, undefined, decodeStruct),
        book,
        ...way,
        endsAt,
        last,
        from: mixed ? 0n : root.from,
        may: mayHave(book, root),
        chosen: new Map(),
        readings: [],
        alone: true,
        guessed: false,
        numbers: new Map(),
        vectors: 0,
      };
      try {
        const struct = fitStruct(ctx, root);
        if (endsAt(reader.offset)) {
          const { from, may, guessed } = ctx;
          fits.push({ description: { name, instanceId, ...struct }, from, may, guessed });
          // As with a description, the first reading of a layout that fits is taken.
          for (const [first, end] of ctx.readings) choices.settle(first, end);
        } else failure ??= reader.error("bad-description", "the section does not end where this layout ends");
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
        failure ??= error;
      }
      work -= Math.max(reader.position - start, (values - ctx.budget) / Weight.FIELD);
      if (!choices.next()) {
        exhausted = true;
        break;
      }
    }
  } finally {
    reader.position = start;
    reader.path.length = depth;
  }
  return { fits, exhausted, failure };
}

/** A device that is one private field, or one buffer of an old-style handler: its end is sought. */
function privateRoot(
  { name: vmsdName, version, fields }: Layout,
  name: string,
  instanceId: number,
): DeviceDescription | undefined {
  const [first, second] = fields;
  if (first === undefined || second !== undefined) return undefined;
  const field = { name: first.n, type: first.t, size: first.s?.[0] ?? 0 };
  if (vmsdName === undefined) return { name, instanceId, size: field.size, fields: [field] };
  if (first.t !== "virtio") return undefined;
  return { name, instanceId, vmsdName, ...(version === undefined ? {} : { version }), fields: [field] };
}

/** An old-style handler without a codec: of one of the sizes seen. */
function bufferDevice(
  reader: QemuFileReader,
  device: DeviceDescription,
  { fields: [field] }: Layout,
  { endsAt }: { endsAt: (offset: number) => boolean },
): DeviceDescription | undefined {
  const size = field?.s?.find((one) => one <= reader.available && endsAt(reader.offset + one));
  if (size === undefined || device.size === undefined) return undefined;
  return { ...device, size, fields: device.fields.map((one) => ({ ...one, size })) };
}
