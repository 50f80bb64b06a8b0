import { type ByteSource, type Positioned } from "../../bytes/source.js";

/** Bytes read at a time, in sequence and after a jump. */
const LARGE = 1 << 19;
const SMALL = 1 << 14;
/** Distance after a window up to which reading counts as sequential. */
const NEAR = 1 << 16;
/** Places of a stream that are read in parallel: pages of an address range may come from several rounds. */
const COUNT = 4;

interface Window {
  bytes: Uint8Array;
  /** Positions in the source. */
  start: number;
  end: number;
  used: number;
}

/** Random reads of a source in large pieces where they turn out to follow each other; 2 MiB of memory. */
export class Windows implements Positioned {
  readonly offset: number | undefined;
  private readonly windows: Window[] = [];
  private clock = 0;

  constructor(private readonly source: ByteSource & Positioned) {
    this.offset = source.offset;
  }

  /** Bytes from an absolute stream offset, fewer at the end of the source; valid until the next are asked for. */
  view(offset: number, length: number): Uint8Array | Promise<Uint8Array> {
    const position = offset - (this.offset ?? 0);
    for (const window of this.windows) {
      if (position < window.start || position + length > window.end) continue;
      window.used = ++this.clock;
      return window.bytes.subarray(position - window.start, position - window.start + length);
    }
    return this.load(position, length);
  }

  /** For `PageReader`. */
  readAt(position: number, into: Uint8Array): number | Promise<number> {
    const view = this.view(position + (this.offset ?? 0), into.length);
    return view instanceof Uint8Array ? copy(view, into) : view.then((bytes) => copy(bytes, into));
  }

  private async load(position: number, length: number): Promise<Uint8Array> {
    const before = this.windows.find(({ start, end }) => start <= position && position <= end + NEAR);
    const window = before ?? this.free();
    const size = Math.max(length, before === undefined ? SMALL : LARGE);
    if (window.bytes.length < size) window.bytes = new Uint8Array(size);
    window.start = window.end = position;
    window.used = ++this.clock;
    while (window.end - position < length) {
      const into = window.bytes.subarray(window.end - position, size);
      const got = await this.source.readAt(window.end, into);
      if (got === 0) break;
      window.end += got;
    }
    return window.bytes.subarray(0, Math.min(length, window.end - position));
  }

  private free(): Window {
    if (this.windows.length < COUNT) {
      const made = { bytes: new Uint8Array(0), start: 0, end: 0, used: 0 };
      this.windows.push(made);
      return made;
    }
    return this.windows.reduce((oldest, window) => (window.used < oldest.used ? window : oldest));
  }
}

function copy(from: Uint8Array, into: Uint8Array): number {
  into.set(from);
  return from.length;
}
