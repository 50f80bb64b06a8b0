import { readFully, type Positioned } from "../../bytes/source.js";
import type { Continued } from "../../codec/stream/index.js";

/** Bytes that are searched at a time. */
const PIECE = 1 << 20;
/** Longest thing that is looked for: a header with a name of 255 bytes. */
const OVERLAP = 1 + 4 + 1 + 255 + 8;
const FOOTER = 0x7e;
const FULL = 0x04;
/** Type bytes of what follows a footer: EOF, sections, a command. */
const NEXT: ReadonlySet<number> = new Set([0, 1, 2, 3, 4, 8]);

interface Search {
  /** Absolute offset of the source's first byte, and of its end. */
  origin: number;
  size: number;
  known: Continued;
  /** Absolute offset where the search begins. */
  from: number;
}

/**
 * Where decoding can go on after damage: after the footer of a known section that is followed by a part of a stream, or
 * at a FULL section with a printable name. What looks like one may be data. Undefined: nowhere.
 */
export async function resumeAt(source: Positioned, { origin, size, known, from }: Search): Promise<number | undefined> {
  const ids = new Set(known.sections.map(({ sectionId }) => sectionId));
  const buffer = new Uint8Array(PIECE + OVERLAP);
  for (let at = from; at < size; at += PIECE) {
    const n = await readFully(source, at - origin, buffer);
    const view = new DataView(buffer.buffer, 0, n);
    const stop = Math.min(PIECE, n - 6);
    for (let k = 0; k < stop; k++) {
      const type = buffer[k];
      if (type === FOOTER && ids.has(view.getUint32(k + 1)) && NEXT.has(buffer[k + 5]!)) return at + k + 5;
      if (type === FULL && isFull(buffer, view, k, n)) return at + k;
    }
  }
  return undefined;
}

function isFull(buffer: Uint8Array, view: DataView, k: number, n: number): boolean {
  const length = buffer[k + 5]!;
  if (view.getUint32(k + 1) > 0xffff || length < 2 || k + 6 + length + 8 > n) return false;
  for (let i = 0; i < length; i++) {
    const byte = buffer[k + 6 + i]!;
    if (byte < 0x21 || byte > 0x7e) return false;
  }
  return view.getUint32(k + 6 + length + 4) < 0x1000;
}
