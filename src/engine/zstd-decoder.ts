/**
 * The zstd library's decoder, for one stream of frames at a time. It is given at most 128 KiB at a time, so that an error
 * has the offset of its block. Memory: the largest window of the frames, and 256 KiB.
 */
export interface ZstdDecoder {
  /** The largest window that it takes, bytes. */
  readonly largestWindow: number;
  /** Begins another stream, whatever became of the last one. */
  reset(): void;
  /**
   * Decodes the next bytes of the stream, at most 131,075. The pieces are valid until the next one is asked for. Errors:
   * `Error` with zstd's text; the stream cannot go on after it.
   */
  push(bytes: Uint8Array): Generator<Uint8Array, void>;
}

/** The texts of `ZSTD_getErrorName` for what input can cause (zstd 1.5.7 lib/zstd_errors.h, lib/common/error_private.c). */
const ERRORS: Readonly<Record<number, string>> = {
  10: "unknown frame descriptor",
  12: "version not supported",
  14: "unsupported frame parameter",
  16: "frame requires too much memory for decoding",
  20: "data corruption detected",
  22: "restored data doesn't match checksum",
  24: "header of literals' block doesn't respect format specification",
  30: "dictionary is corrupted",
  32: "dictionary mismatch",
  64: "allocation error: not enough memory",
};

/** An error of the library by its code, which is positive. */
export function zstdError(code: number): Error {
  return new Error(ERRORS[code] ?? `error ${code}`);
}

/** Most bytes that a decoder is given at a time: a block with its header, or a frame's header. */
export const MOST_INPUT = (1 << 17) + 3;
/** Bytes of a piece at most. */
export const PIECE = 1 << 17;
