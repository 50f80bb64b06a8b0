/** A decompression under way. */
export interface Progress {
  readonly chunks: AsyncGenerator<Uint8Array>;
  /** Offset in the compressed file after the last chunk. */
  readonly offset: number;
  /** Plain bytes so far, with the last chunk and what belongs to it. */
  readonly plain: number;
  /** How bytes of a chunk are copied, where there is a faster way than `set`. */
  readonly copy?: (into: Uint8Array, bytes: Uint8Array) => void;
}

/** The same bytes without the first `known`, which another decompressor has given. */
export async function* withoutFirst(chunks: AsyncGenerator<Uint8Array>, known: number): AsyncGenerator<Uint8Array> {
  let left = known;
  for await (const chunk of chunks) {
    const skipped = Math.min(left, chunk.length);
    left -= skipped;
    if (skipped < chunk.length) yield chunk.subarray(skipped);
  }
}
