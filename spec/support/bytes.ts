/** Small helpers for all chapters: bytes as hex, and the error of a call. */
import { QevmError } from "../../src/bytes/errors.js";

/** `"00ff"` (blanks allowed) as bytes. */
export function fromHex(hex: string): Uint8Array {
  const digits = hex.replaceAll(/\s/gu, "");
  if (digits.length % 2 !== 0 || /[^0-9a-f]/iu.test(digits)) throw new Error(`not hex: ${hex}`);
  return Uint8Array.from(Buffer.from(digits, "hex"));
}

export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("hex");
}

/** The `QevmError` of `run`; undefined when it succeeds. Any other error is a bug and is rethrown. */
export async function refusal(run: () => unknown): Promise<QevmError | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (error instanceof QevmError) return error;
    throw error;
  }
}
