import { QevmError } from "../../bytes/errors.js";
import type { QemuFileReader, QemuFileWriter } from "../../bytes/index.js";
import {
  Choices,
  checkSize,
  MAX_ATTEMPTS,
  MAX_VALUES,
  MAX_WORK,
  newContext,
  Weight,
  type DecodeContext,
  type EncodeContext,
} from "./context.js";
import { oldStyleName, type DeviceDescription } from "./description.js";
import type { DeviceState } from "./state.js";
import { decodeStruct, encodeStruct } from "./struct.js";

/** How the payload of a device section is decoded. */
export interface DecodeDeviceOptions {
  /**
   * Whether a device section could end at this absolute offset (at its footer, or at a legal top-level byte). Used to
   * choose between readings of an inaccurate description; without it the likeliest reading is used.
   */
  endsAt?: (offset: number) => boolean;
  /** Maximum number of values of one device, weighed by `Weight`. Default 16,777,216. */
  maxValues?: number;
  /** Maximum number of readings tried for an ambiguous description. Default 256. */
  maxAttempts?: number;
  /** Maximum bytes decoded in failed attempts, at least one per field, before decoding gives up. Default 32 MiB. */
  maxWork?: number;
}

/**
 * Decodes the payload of one FULL section from the reader, which is positioned after the section header. The whole
 * payload must be in the reader's buffer. On success the reader is after the payload; on errors it is where it was.
 * @throws QevmError `truncated`, `bad-value`, `bad-description`, `bad-length`, `limit`; with byte offset and path
 */
export function decodeDevice(
  reader: QemuFileReader,
  description: DeviceDescription,
  options: DecodeDeviceOptions = {},
): DeviceState {
  const start = reader.position;
  const depth = reader.path.length;
  const choices = new Choices();
  const attempts = options.maxAttempts ?? MAX_ATTEMPTS;
  const values = options.maxValues ?? MAX_VALUES;
  let work = options.maxWork ?? MAX_WORK;
  let failure: QevmError | undefined;
  if (depth === 0) reader.path.push(`device "${description.name}"/${description.instanceId}`);
  const steps = reader.path.length;
  try {
    for (let attempt = 0; attempt < attempts; attempt++) {
      reader.position = start;
      reader.path.length = steps;
      const ctx = newContext(reader, choices, values, oldStyleName(description), decodeStruct);
      try {
        return decodeOnce(ctx, description, options.endsAt);
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
        failure ??= error;
      }
      work -= Math.max(reader.position - start, (values - ctx.budget) / Weight.FIELD);
      if (work < 0 || !choices.next()) break;
    }
    reader.position = start;
    throw failure ?? reader.error("usage", "maxAttempts must be at least 1");
  } finally {
    reader.path.length = depth;
  }
}

/**
 * Encodes a payload from its fields. Before each field, element and subsection `at` is called with its path (the device
 * is the first step) and the writer's offset.
 * @throws QevmError `does-not-fit` with the path; a part may have been written by then
 */
export function encodeDevice(
  writer: QemuFileWriter,
  state: DeviceState,
  at?: (path: readonly string[], offset: number) => void,
): void {
  const { description } = state;
  const ctx: EncodeContext = {
    writer,
    path: [`device "${description.name}"/${description.instanceId}`],
    shared: false,
    vmsdName: undefined,
    oldStyle: oldStyleName(description),
    struct: encodeStruct,
    at,
  };
  try {
    encodeStruct(ctx, state);
  } catch (error) {
    if (!(error instanceof QevmError) || error.path.length > 0) throw error;
    const { code, what, expected, found } = error;
    throw new QevmError(code, what, { path: [...ctx.path], expected, found, cause: error });
  }
}

function decodeOnce(
  ctx: DecodeContext,
  description: DeviceDescription,
  endsAt: DecodeDeviceOptions["endsAt"],
): DeviceState {
  const { reader } = ctx;
  const start = reader.position;
  const struct = decodeStruct(ctx, description);
  if (description.size !== undefined) checkSize(ctx, start, description.size, "the device");
  if (endsAt !== undefined && !endsAt(reader.offset)) {
    throw reader.error("bad-description", "the device state does not end where its description says", {
      expected: "a section footer or the next section",
      found: reader.peek() < 0 ? "the end of the input" : `0x${reader.peek().toString(16)}`,
    });
  }
  const total = reader.position - start;
  return { ...struct, description, bytes: { typed: total - ctx.named, named: ctx.named, opaque: 0 } };
}
