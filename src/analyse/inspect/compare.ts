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
  /** Of the source's byte at `from`. */
  position: number;
  /** Whether `bytes` are a piece of this source's memory, not lent or left over. */
  own: boolean;
}

/**
 * A source that keeps what it has handed out until a sink has compared it: decoding and encoding run side by side over
 * one pass, and memory holds no more than what is between them. What is read ahead is compared where it was read to,
 * without a copy: that memory is read into again only after its bytes were decoded.
 */
export class Tap implements ByteSource {
  readonly length: number | undefined;
  readonly offset: number | undefined;
  readonly within: readonly string[] | undefined;
  readonly stored: ByteSource["stored"];
  readonly warnings: ByteSource["warnings"];
  readonly readAt?: (position: number, into: Uint8Array) => number | Promise<number>;
  /** Every byte is read, so there is no `seek`. */
  readonly readAhead: ByteSource["readAhead"];
  readonly readBeside: ByteSource["readBeside"];
  /** What encodes the bytes again into `sink`: it passes on what it has before memory is used again. */
  writer: { flush(): void | Promise<void> } | undefined;
  /** Offset of the first byte that was encoded differently; undefined: none so far. */
  difference: number | undefined;
  /** Bytes compared. */
  compared = 0;
  /** In the order of their positions. */
  private readonly kept: Kept[] = [];
  /** Memory of pieces that were compared. New memory for each costs more than the comparison. */
  private readonly spare: Uint8Array[] = [];
  /** Position of the next byte that `read` hands out. */
  private next = 0;

  constructor(private readonly source: ByteSource) {
    this.length = source.length;
    this.offset = source.offset;
    this.within = source.within;
    this.stored = source.stored;
    this.warnings = source.warnings;
    const { readAhead, readBeside } = source;
    this.readAhead =
      readAhead && ((position, into) => readAhead(position, into).then((n) => this.lend(position, into, n)));
    this.readBeside = readBeside && ((position, into) => this.lend(position, into, readBeside(position, into)));
    if (isRandom(source)) this.readAt = (position, into) => source.readAt(position, into);
  }

  read(into: Uint8Array): number | Promise<number> {
    const got = this.source.read(into);
    if (typeof got === "number") return this.keep(into, got);
    return got.then((n) => this.keep(into, n));
  }

  /** What was lent of the memory and is not encoded again yet (a part of a structure) is copied. */
  beforeReuse(memory: Uint8Array): void {
    if (!this.kept.some(({ bytes }) => bytes.buffer === memory.buffer)) return;
    void this.writer?.flush();
    for (const kept of this.kept) {
      if (kept.bytes.buffer !== memory.buffer) continue;
      kept.bytes = new Uint8Array(kept.bytes.subarray(kept.from, kept.to));
      kept.to -= kept.from;
      kept.from = 0;
    }
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

  /** Copies bytes, since nothing says how long they stay where they were read to. */
  private keep(into: Uint8Array, n: number): number {
    for (let at = 0; at < n;) {
      let last = this.kept.at(-1);
      if (last === undefined || last.to === last.bytes.length) {
        last = { bytes: this.spare.pop() ?? new Uint8Array(PIECE), from: 0, to: 0, position: this.next, own: true };
        this.kept.push(last);
      }
      const taken = Math.min(n - at, last.bytes.length - last.to);
      last.bytes.set(into.subarray(at, at + taken), last.to);
      last.to += taken;
      at += taken;
      this.next += taken;
    }
    return n;
  }

  /** Keeps the place of bytes that were read ahead, at `position` of the source. */
  private lend(position: number, into: Uint8Array, n: number): number {
    const { kept } = this;
    let i = kept.length;
    while (i > 0 && kept[i - 1]!.position > position) i--;
    // After a short read, what another thread has read behind it is read again.
    if (kept[i]?.position !== position + n) kept.length = i;
    if (n > 0) kept.splice(i, 0, { bytes: into.subarray(0, n), from: 0, to: n, position, own: false });
    this.next = Math.max(this.next, position + n);
    this.source.seek?.(this.next);
    return n;
  }

  private compare(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const head = this.kept[0];
      if (head === undefined || head.position !== this.compared) {
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
      head.position += n;
      if (head.from < head.to) continue;
      this.kept.shift();
      if (head.own && this.spare.length < SPARE) this.spare.push(head.bytes);
    }
  }
}
