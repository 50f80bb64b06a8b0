/** Opens the payloads of one channel in their order; zlib and zstd remember what came before. */
export interface PayloadDecoder {
  /** The pages, filling `into` or where they stand in the payload. Errors: bad-compressed-data, bad-length, limit; no place in them. */
  decode(payload: Uint8Array, into: Uint8Array): Uint8Array;
}
