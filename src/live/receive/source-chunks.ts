import { QevmError } from "../../bytes/errors.js";
import { textOf } from "../../io/transport/attempt.js";

/** The next bytes of a connection; undefined at its end. Errors: those of the socket. */
export async function nextChunk(rest: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
  const { done, value } = await rest.next();
  return done === true ? undefined : value;
}

/** An error of the source's connection, with its place. */
export function sourceFailed(error: unknown): QevmError {
  if (error instanceof QevmError) return error;
  return new QevmError("io", `the source's connection: ${textOf(error)}`, { cause: error });
}
