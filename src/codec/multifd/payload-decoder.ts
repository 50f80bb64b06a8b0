/** Decodes the payloads of one channel in order. zlib and zstd keep state between them. */
export interface PayloadDecoder {
  /**
   * Returns the pages, in `into` or as a view of the payload. Errors, without offset: bad-compressed-data, bad-length,
   * limit.
   */
  decode(payload: Uint8Array, into: Uint8Array): Uint8Array;
}

/** Encodes the payloads of one channel in order. */
export interface PayloadEncoder {
  /** Space for pages, where `encode` finds them without copying; valid until the next call. */
  room?(bytes: number): Uint8Array;
  /** The payload for whole pages; valid until the next call. */
  encode(pages: Uint8Array): Uint8Array;
}
