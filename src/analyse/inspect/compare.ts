import { differsAt } from "../../bytes/difference.js";
import { type ByteSink, type ByteSource, isRandom } from "../../bytes/source.js";

/** Bytes of a piece that is kept. */
const PIECE = 1 << 18;

/** Pieces whose memory is used again, at most. */
const SPARE = 16;

/** A piece of what was handed out: `bytes[from .. to)` is not compared yet. */
interface Kept {
  bytes: Uint8Array;
  from: number;
  to: number;
}

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
  /** Pieces are kept in their order, so there is no `readBeside`; every byte is read, so there is no `seek`. */
  readonly readAhead: ByteSource["readAhead"];
  /** Offset of the first byte that was encoded differently; undefined: none so far. */
  difference: number | undefined;
  /** Bytes compared. */
  compared = 0;
  private readonly kept: Kept[] = [];
  /** Memory of pieces that were compared. New memory for each costs more than the comparison. */
  private readonly spare: Uint8Array[] = [];

  constructor(private readonly source: ByteSource) {
    this.length = source.length;
    this.offset = source.offset;
    this.within = source.within;
    this.stored = source.stored;
    this.warnings = source.warnings;
    const { readAhead } = source;
    this.readAhead =
      readAhead &&
      (async (position, into) => {
        const n = await readAhead(position, into);
        source.seek?.(position + n);
        return this.keep(into, n);
      });
    if (isRandom(source)) this.readAt = (position, into) => source.readAt(position, into);
  }

  read(into: Uint8Array): number | Promise<number> {
    const got = this.source.read(into);
    if (typeof got === "number") return this.keep(into, got);
    return got.then((n) => this.keep(into, n));
  }

  /** Bytes that were read and not written again yet. */
  get pending(): number {
    return this.kept.reduce((sum, { from, to }) => sum + to - from, 0);
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
    for (let at = 0; at < n;) {
      let last = this.kept.at(-1);
      if (last === undefined || last.to === last.bytes.length) {
        last = { bytes: this.spare.pop() ?? new Uint8Array(PIECE), from: 0, to: 0 };
        this.kept.push(last);
      }
      const taken = Math.min(n - at, last.bytes.length - last.to);
      last.bytes.set(into.subarray(at, at + taken), last.to);
      last.to += taken;
      at += taken;
    }
    return n;
  }

  private compare(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const head = this.kept[0];
      if (head === undefined) {
        this.difference ??= this.compared;
        this.compared += bytes.length - at;
        return;
      }
      const n = Math.min(head.to - head.from, bytes.length - at);
      if (this.difference === undefined) {
        const differs = differsAt(head.bytes.subarray(head.from, head.from + n), bytes.subarray(at, at + n));
        if (differs !== undefined) this.difference = this.compared + differs;
      }
      this.compared += n;
      at += n;
      head.from += n;
      if (head.from < head.to) continue;
      this.kept.shift();
      if (this.spare.length < SPARE) this.spare.push(head.bytes);
    }
  }
}
