/** Readers of ELF cores and LiME files that share nothing with src. */

/** A run of guest-physical memory in a file. */
export interface Piece {
  /** Where its bytes begin in the file. */
  at: number;
  address: number;
  length: number;
}

export interface CoreNote {
  name: string;
  type: number;
  content: Buffer;
}

export interface CoreParts {
  loads: Piece[];
  notes: CoreNote[];
  /** All of the PT_NOTE segment. */
  noteBytes: Buffer;
}

/** PT_LOAD and PT_NOTE of a 64-bit little-endian core; the extended count of program headers is understood. */
export function coreParts(core: Buffer): CoreParts {
  const loads: Piece[] = [];
  let noteBytes: Buffer = Buffer.alloc(0);
  for (let k = 0; k < core.readUInt16LE(56); k++) {
    const header = Number(core.readBigUInt64LE(32)) + 56 * k;
    const at = Number(core.readBigUInt64LE(header + 8));
    const length = Number(core.readBigUInt64LE(header + 32));
    if (core.readUInt32LE(header) === 4) noteBytes = core.subarray(at, at + length);
    else loads.push({ at, address: Number(core.readBigUInt64LE(header + 24)), length });
  }
  return { loads, notes: splitNotes(noteBytes), noteBytes };
}

function splitNotes(bytes: Buffer): CoreNote[] {
  const notes: CoreNote[] = [];
  for (let at = 0; at < bytes.length;) {
    const name = bytes.readUInt32LE(at);
    const length = bytes.readUInt32LE(at + 4);
    const content = at + 12 + Math.ceil(name / 4) * 4;
    notes.push({
      name: bytes.toString("latin1", at + 12, at + 12 + name - 1),
      type: bytes.readUInt32LE(at + 8),
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
