import { type ByteSink, type ByteSource, isRandom } from "../../bytes/source.js";

/**
 * A source that keeps what it has handed out until a sink has compared it: decoding and encoding run side by side over
 * one pass, and memory holds no more than what is between them.
 */
export class Tap implements ByteSource {
  readonly length: number | undefined;
  readonly offset: number | undefined;
  readonly within: readonly string[] | undefined;
  readonly stored: ByteSource["stored"];
  readonly warnings: ByteSource["warnings"];
  readonly readAt?: (position: number, into: Uint8Array) => number | Promise<number>;
  /** Offset of the first byte that was encoded differently; undefined: none so far. */
  difference: number | undefined;
  /** Bytes compared. */
  compared = 0;
  private readonly chunks: Uint8Array[] = [];

  constructor(private readonly source: ByteSource) {
    this.length = source.length;
    this.offset = source.offset;
    this.within = source.within;
    this.stored = source.stored;
    this.warnings = source.warnings;
    if (isRandom(source)) this.readAt = (position, into) => source.readAt(position, into);
  }

  read(into: Uint8Array): number | Promise<number> {
    const got = this.source.read(into);
    if (typeof got === "number") return this.keep(into, got);
    return got.then((n) => this.keep(into, n));
  }

  /** Bytes that were read and not written again yet. */
  get pending(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** Where the bytes that were encoded again go. */
  readonly sink: ByteSink = {
    write: (chunk) => {
      this.compare(chunk);
    },
  };

  close(): void | Promise<void> {
    return this.source.close?.();
  }

  private keep(into: Uint8Array, n: number): number {
    if (n > 0) this.chunks.push(into.slice(0, n));
    return n;
  }

  private compare(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const head = this.chunks[0];
      if (head === undefined) {
        this.difference ??= this.compared;
        this.compared += bytes.length - at;
        return;
      }
      const n = Math.min(head.length, bytes.length - at);
      if (this.difference === undefined) {
        const differs = firstDifference(head, 0, bytes, at, n);
        if (differs >= 0) this.difference = this.compared + differs;
      }
      this.compared += n;
      at += n;
      if (n === head.length) this.chunks.shift();
      else this.chunks[0] = head.subarray(n);
    }
  }
}

/** Index of the first of `n` bytes that differ, or -1. */
export function firstDifference(a: Uint8Array, aStart: number, b: Uint8Array, bStart: number, n: number): number {
  for (let i = 0; i < n; i++) if (a[aStart + i] !== b[bStart + i]) return i;
  return -1;
}
