import { QevmError } from "../../bytes/errors.js";
import { latin1 } from "../../bytes/reader.js";
import { triedVmDescriptions } from "../../codec/vmstate/find.js";
import { parseVmDescription } from "../../codec/vmstate/index.js";

/** The part of the main channel received so far. */
export interface WrittenTail {
  readonly length: number;
  /** The last bytes, at most `most`. */
  tail(most: number): Uint8Array;
}

/** Search range for the VMDESCRIPTION, in bytes from the end. */
const TAIL = 32 << 20;

/** Chunks smaller than this are joined. */
const JOINED = 1 << 12;

/**
 * Detects the end of a live stream. A source that waits for a reply does not close the connection, so the end must be
 * found in the bytes.
 */
export class StreamEnd {
  /** Between START and footer of a RAM chunk no bytes look like an end. */
  inRam = false;
  private seen = 0;

  /** @param written the bytes so far; call `note` for every byte after it was added there */
  constructor(private readonly written: WrittenTail) {}

  note(bytes: number): void {
    this.seen += bytes;
  }

  /** Whether the bytes end in a complete VMDESCRIPTION. */
  get isHere(): boolean {
    if (this.inRam || !this.caughtUp || this.written.tail(1)[0] !== 0x7d) return false;
    const bytes = this.written.tail(TAIL);
    for (const { start, length } of triedVmDescriptions(bytes, undefined, true)) {
      if (start + length === bytes.length && isDescription(bytes.subarray(start))) return true;
    }
    return false;
  }

  /** Whether the bytes end in a footer and EOF, like a stream without VMDESCRIPTION. */
  get mayBeHere(): boolean {
    const tail = this.written.tail(6);
    return !this.inRam && this.caughtUp && tail.length === 6 && tail[0] === 0x7e && tail[5] === 0;
  }

  private get caughtUp(): boolean {
    return this.seen === this.written.length;
  }
}

/** The last bytes of a channel that is not recorded. */
export class KeptTail implements WrittenTail {
  length = 0;
  private readonly chunks: Uint8Array[] = [];
  private kept = 0;

  /** Keeps chunks without copying, but joins small ones, since each chunk has its overhead. */
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
