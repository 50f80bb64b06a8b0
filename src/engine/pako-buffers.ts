import type { ZStream } from "pako";

/** Gives a stream of pako bytes to read. */
export function giveInput(stream: ZStream, bytes: Uint8Array): void {
  stream.input = bytes;
  stream.next_in = 0;
  stream.avail_in = bytes.length;
}

/**
 * Gives it space to write. pako only calls `set` on it and reads it by index, so memory that threads share works, too.
 */
export function giveOutput(stream: ZStream, space: Uint8Array): void {
  stream.output = space as Uint8Array<ArrayBuffer>;
  stream.next_out = 0;
  stream.avail_out = space.length;
}
