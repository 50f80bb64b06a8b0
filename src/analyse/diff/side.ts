import { QevmError } from "../../bytes/errors.js";
import type { Side } from "./types.js";

/** The first step of the path of errors in one of the two streams. */
const STEPS = { a: "stream A", b: "stream B" } as const;

/** Runs a step on one of the streams; its errors name the stream. */
export async function inStream<T>(side: Side, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    const { code, what, offset, path, expected, found } = error;
    throw new QevmError(code, what, { offset, path: [STEPS[side], ...path], expected, found, cause: error });
  }
}

/** Which stream an error of `diffStreams` is about; undefined: neither. */
export function sideOf(error: QevmError): Side | undefined {
  const [step] = error.path;
  return step === STEPS.a ? "a" : step === STEPS.b ? "b" : undefined;
}
