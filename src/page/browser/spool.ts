/** What `io/transport/spool.ts` does, where there are no files. */
import { forward, isRandom, type ByteSource, type Positioned } from "../../bytes/source.js";
import type { Again } from "../../io/transport/spool.js";

/** Bytes of one blob. */
const PIECE = 4 << 20;

/**
 * A source that can be read anywhere is taken as it is; of another one, a copy is kept in blobs, which a browser keeps
 * outside of the tab's memory and, where they are many, on disk.
 */
export function readableAgain(source: ByteSource): Again {
  if (!isRandom(source) || source.seek === undefined) return new BlobSpool(source);
  return { source, rewind: () => source.seek!(0), close: () => undefined };
}

class BlobSpool implements Again {
  readonly source: ByteSource & Positioned;
  private blobs: Blob[] = [];
  /** The bytes after the last blob. */
  private readonly tail = new Uint8Array(PIECE);
  private kept = 0;
  private written = 0;
  private position = 0;
  private ended = false;
  /** The blob that was read last, whole. */
  private cached: { index: number; bytes: Uint8Array } | undefined;

  constructor(private readonly first: ByteSource) {
    this.source = {
      ...forward(first, (into) => this.read(into)),
      readAt: (position, into) => this.readAt(position, into),
    };
  }

  rewind(): void {
    this.position = 0;
  }

  close(): void {
    this.blobs = [];
    this.cached = undefined;
  }

  private async read(into: Uint8Array): Promise<number> {
    if (this.position < this.written || this.ended) {
      const n = await this.readAt(this.position, into);
      this.position += n;
      return n;
    }
    const n = await this.first.read(into);
    if (n === 0) this.ended = true;
    this.keep(into.subarray(0, n));
    this.position = this.written;
    return n;
  }

  private keep(bytes: Uint8Array): void {
    this.written += bytes.length;
    for (let at = 0; at < bytes.length;) {
      const n = Math.min(bytes.length - at, PIECE - this.kept);
      this.tail.set(bytes.subarray(at, at + n), this.kept);
      this.kept += n;
      at += n;
      if (this.kept < PIECE) continue;
      this.blobs.push(new Blob([this.tail]));
      this.kept = 0;
    }
  }

  private readAt(position: number, into: Uint8Array): number | Promise<number> {
    if (position >= this.written) return 0;
    const index = Math.floor(position / PIECE);
    const at = position % PIECE;
    if (index >= this.blobs.length) return taken(this.tail.subarray(0, this.kept), at, into);
    if (this.cached?.index === index) return taken(this.cached.bytes, at, into);
    return this.blobs[index]!.arrayBuffer().then((buffer) => {
      this.cached = { index, bytes: new Uint8Array(buffer) };
      return taken(this.cached.bytes, at, into);
    });
  }
}

function taken(bytes: Uint8Array, at: number, into: Uint8Array): number {
  const n = Math.min(into.length, bytes.length - at);
  into.set(bytes.subarray(at, at + n));
  return n;
}
