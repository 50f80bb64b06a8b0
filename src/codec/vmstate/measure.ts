import { QemuFileWriter } from "../../bytes/index.js";
import type { FieldDescription } from "./description.js";
import { encodeElement } from "./elements.js";
import type { EncodeContext } from "./context.js";
import type { FieldValue, StructState } from "./state.js";
import { encodeStruct } from "./struct.js";

/** Bytes that a struct takes on the wire, its subsections included. Errors: does-not-fit. */
export function measureStruct(state: StructState): number {
  return measure((ctx) => encodeStruct(ctx, state), state.description.vmsdName);
}

/**
 * Length in bytes of the value of one field (not of an array). `vmsdName`: of the enclosing struct. Errors: does-not-fit.
 */
export function measureValue(entry: FieldDescription, value: FieldValue, vmsdName: string | undefined): number {
  return measure((ctx) => encodeElement(ctx, entry, value), vmsdName);
}

function measure(encode: (ctx: EncodeContext) => void, vmsdName: string | undefined): number {
  const writer = new QemuFileWriter({ write: () => undefined });
  // Sizes that the description says are those that are looked for.
  encode({ writer, path: [], shared: true, vmsdName, oldStyle: undefined, struct: encodeStruct });
  return writer.offset;
}
