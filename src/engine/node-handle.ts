/** The synchronous calls inside a zlib stream of Node's (20 to 24). The public ones take whole inputs only. */
export interface NodeHandle {
  writeSync(
    flush: number,
    input: Uint8Array,
    inputAt: number,
    inputLength: number,
    output: Uint8Array,
    outputAt: number,
    outputLength: number,
  ): void;
}

/** A Node zlib stream with its internal fields. */
export interface OpenedStream<H extends NodeHandle> {
  _handle?: Partial<H> | null;
  /** Output and input bytes left after a write. */
  _writeState?: unknown;
}

/** The handle of a stream, which has the function `more`, too; undefined where the shape is not the known one. */
export function handleOf<H extends NodeHandle>(
  { _handle: handle, _writeState: left }: OpenedStream<H>,
  more: keyof H,
): { handle: H; left: Uint32Array } | undefined {
  if (typeof handle?.writeSync !== "function" || typeof handle[more] !== "function") return undefined;
  if (!(left instanceof Uint32Array) || left.length !== 2) return undefined;
  return { handle: handle as H, left };
}
