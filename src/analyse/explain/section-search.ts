import { fromLatin1 } from "../../bytes/index.js";

/** Type byte, section_id, and the length byte of the name. */
const BEFORE_NAME = 6;

/** Longest header: name of 255 bytes, and the bytes around it. */
const OVERLAP = BEFORE_NAME + 255;

/**
 * Looks for sections by name in bytes that could not be decoded: `04` (FULL), a small section_id, the name with its
 * length. What looks like one may be none; the first is taken.
 */
export class SectionSearch {
  private readonly patterns: { name: string; bytes: Uint8Array }[];
  private tail = new Uint8Array(0);
  /** Absolute offset of the tail's first byte. */
  private offset = 0;

  constructor(
    wanted: readonly string[],
    private readonly found: Map<string, number>,
  ) {
    this.patterns = [...new Set(wanted)]
      .filter((name) => name.length > 0 && /^[ -~]{1,255}$/u.test(name))
      .map((name) => ({ name, bytes: fromLatin1(name, "section name") }));
  }

  /** Another part begins at this offset. */
  begin(offset: number): void {
    this.offset = offset;
    this.tail = new Uint8Array(0);
  }

  chunk(chunk: Uint8Array): void {
    if (this.patterns.length === 0) return;
    const bytes = new Uint8Array(this.tail.length + chunk.length);
    bytes.set(this.tail);
    bytes.set(chunk, this.tail.length);
    for (const { name, bytes: wanted } of this.patterns) {
      const at = this.found.has(name) ? -1 : headerIn(bytes, wanted);
      if (at >= 0) this.found.set(name, this.offset + at);
    }
    this.tail = bytes.slice(Math.max(0, bytes.length - OVERLAP));
    this.offset += bytes.length - this.tail.length;
  }
}

/** Index of a FULL header with this name; -1: none. */
function headerIn(bytes: Uint8Array, name: Uint8Array): number {
  for (let at = bytes.indexOf(0x04); at >= 0; at = bytes.indexOf(0x04, at + 1)) {
    if (bytes[at + 1] !== 0 || bytes[at + 2] !== 0 || bytes[at + 5] !== name.length) continue;
    if (name.every((byte, i) => bytes[at + BEFORE_NAME + i] === byte)) return at;
  }
  return -1;
}
