/** Readers of ELF cores and LiME files that share no code with src. */

/** A run of guest-physical memory in a file. */
export interface Piece {
  /** Start of its bytes in the file. */
  at: number;
  address: number;
  length: number;
}

export interface CoreNote {
  name: string;
  type: number;
  content: Buffer;
}

interface CoreParts {
  loads: Piece[];
  notes: CoreNote[];
  /** All of the PT_NOTE segment. */
  noteBytes: Buffer;
}

/** PT_LOAD and PT_NOTE of a 64-bit core of either byte order; supports the extended count of program headers. */
export function coreParts(core: Buffer): CoreParts {
  const words = wordsOf(core, core[5] === 2);
  const loads: Piece[] = [];
  let noteBytes: Buffer = Buffer.alloc(0);
  for (let k = 0; k < words.u16(56); k++) {
    const header = words.u64(32) + 56 * k;
    const at = words.u64(header + 8);
    const length = words.u64(header + 32);
    if (words.u32(header) === 4) noteBytes = core.subarray(at, at + length);
    else loads.push({ at, address: words.u64(header + 24), length });
  }
  return { loads, notes: splitNotes(noteBytes, core[5] === 2), noteBytes };
}

function wordsOf(bytes: Buffer, big: boolean): Record<"u16" | "u32" | "u64", (at: number) => number> {
  return {
    u16: (at) => (big ? bytes.readUInt16BE(at) : bytes.readUInt16LE(at)),
    u32: (at) => (big ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at)),
    u64: (at) => Number(big ? bytes.readBigUInt64BE(at) : bytes.readBigUInt64LE(at)),
  };
}

function splitNotes(bytes: Buffer, big: boolean): CoreNote[] {
  const words = wordsOf(bytes, big);
  const notes: CoreNote[] = [];
  for (let at = 0; at < bytes.length;) {
    const name = words.u32(at);
    const length = words.u32(at + 4);
    const content = at + 12 + Math.ceil(name / 4) * 4;
    notes.push({
      name: bytes.toString("latin1", at + 12, at + 12 + name - 1),
      type: words.u32(at + 8),
      content: bytes.subarray(content, content + length),
    });
    at = content + Math.ceil(length / 4) * 4;
  }
  return notes;
}

/** Ranges of a LiME file: "EMiL", version 1, first and last address, 8 bytes, then the memory. */
export function limeRanges(file: Buffer): Piece[] {
  const ranges: Piece[] = [];
  for (let at = 0; at < file.length;) {
    if (file.toString("latin1", at, at + 4) !== "EMiL" || file.readUInt32LE(at + 4) !== 1) {
      throw new Error(`no LiME header at ${at}`);
    }
    const address = Number(file.readBigUInt64LE(at + 8));
    const length = Number(file.readBigUInt64LE(at + 16)) - address + 1;
    ranges.push({ at: at + 32, address, length });
    at += 32 + length;
  }
  return ranges;
}
