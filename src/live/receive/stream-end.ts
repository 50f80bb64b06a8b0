import { QevmError } from "../../bytes/errors.js";
import { latin1 } from "../../bytes/reader.js";
import { triedVmDescriptions } from "../../codec/vmstate/find.js";
import { parseVmDescription } from "../../codec/vmstate/index.js";

/** What of the main channel has come so far. */
export interface WrittenTail {
  readonly length: number;
  /** The last bytes, at most so many. */
  tail(most: number): Uint8Array;
}

/** How far from the end the VMDESCRIPTION is looked for. */
const TAIL = 32 << 20;

/** Bytes of chunks that are joined. */
const JOINED = 1 << 12;

/**
 * Whether a stream that comes in live has ended: a source that waits for an answer does not close it, so the end has to be seen in the bytes.
 */
export class StreamEnd {
  /** Between the START and the footer of a RAM chunk nothing looks like an end. */
  inRam = false;
  private seen = 0;

  /** @param written what has come, every byte of it `note`d behind its being there */
  constructor(private readonly written: WrittenTail) {}

  note(bytes: number): void {
    this.seen += bytes;
  }

  /** Whether a whole VMDESCRIPTION is the last that has come. */
  get isHere(): boolean {
    if (this.inRam || !this.caughtUp || this.written.tail(1)[0] !== 0x7d) return false;
    const bytes = this.written.tail(TAIL);
    for (const { start, length } of triedVmDescriptions(bytes, undefined, true)) {
      if (start + length === bytes.length && isDescription(bytes.subarray(start))) return true;
    }
    return false;
  }

  /** Whether the bytes end with a footer and EOF, as a stream without VMDESCRIPTION does. */
  get mayBeHere(): boolean {
    const tail = this.written.tail(6);
    return !this.inRam && this.caughtUp && tail.length === 6 && tail[0] === 0x7e && tail[5] === 0;
  }

  private get caughtUp(): boolean {
    return this.seen === this.written.length;
  }
}

/** The last bytes of a channel that nobody writes down. */
export class KeptTail implements WrittenTail {
  length = 0;
  private readonly chunks: Uint8Array[] = [];
  private kept = 0;

  /** Chunks are kept as they are, small ones joined: each would hold more memory than its bytes. */
  add(chunk: Uint8Array): void {
    this.length += chunk.length;
    this.kept += chunk.length;
    const last = this.chunks.at(-1);
    if (last !== undefined && last.length + chunk.length <= JOINED) {
      this.chunks[this.chunks.length - 1] = Buffer.concat([last, chunk]);
    } else this.chunks.push(chunk);
    while (this.kept - this.chunks[0]!.length >= TAIL) this.kept -= this.chunks.shift()!.length;
  }

  tail(most: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(most, this.kept));
    let at = bytes.length;
    for (let i = this.chunks.length - 1; i >= 0 && at > 0; i--) {
      const chunk = this.chunks[i]!;
      const part = chunk.subarray(Math.max(0, chunk.length - at));
      at -= part.length;
      bytes.set(part, at);
    }
    return bytes;
  }
}

function isDescription(bytes: Uint8Array): boolean {
  try {
    parseVmDescription(latin1(bytes), { offset: 0 });
    return true;
  } catch (error) {
    if (error instanceof QevmError) return false;
    throw error;
  }
}
