/** A decompression under way. */
export interface Progress {
  readonly chunks: AsyncGenerator<Uint8Array>;
  /** Offset in the compressed file after the last chunk. */
  readonly offset: number;
  /** Plain bytes so far, with the last chunk and what belongs to it. */
  readonly plain: number;
}
