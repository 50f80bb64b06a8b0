import { closeSync, openSync } from "node:fs";
import { attempt, readAll } from "../../io/transport/attempt.js";
import { NOTE_HEAD as HEAD, LONGEST_NOTE as LONGEST, type NotePlace } from "../cores/vmcoreinfo-place.js";
import { PIECE } from "./block-data.js";
import type { PhysicalFiles } from "./physical-files.js";

const NAME = Buffer.from("VMCOREINFO\0\0", "latin1");

/** The note at an address; undefined where there is none. Its length comes from its header, as QEMU writes it. */
export function readNote(memory: PhysicalFiles, { address, length }: NotePlace): Uint8Array | undefined {
  const bytes = memory.read(address, length);
  return bytes === undefined ? undefined : wholeNote(bytes);
}

/** Searches all memory for the note, at the start of each page. */
export function findNote(memory: PhysicalFiles): { note: Uint8Array; address: number } | undefined {
  const { segments, data } = memory;
  const buffer = Buffer.alloc(PIECE);
  for (const { block, start, offset, length } of segments) {
    const path = data.path(block);
    const fd = attempt(path, () => openSync(path, "r"));
    try {
      for (const piece of data.pieces(block, offset, length)) {
        const bytes = buffer.subarray(0, piece.length);
        readAll(path, fd, bytes, piece.offset);
        const found = inBuffer(memory, bytes, start + piece.offset - offset);
        if (found !== undefined) return found;
      }
    } finally {
      closeSync(fd);
    }
  }
  return undefined;
}

function inBuffer(
  memory: PhysicalFiles,
  buffer: Buffer,
  start: number,
): { note: Uint8Array; address: number } | undefined {
  for (let at = buffer.indexOf(NAME); at >= 0; at = buffer.indexOf(NAME, at + 1)) {
    const address = start + at - 12;
    if (address % 4096 !== 0) continue;
    const note = readNote(memory, { address, length: LONGEST });
    if (note !== undefined) return { note, address };
  }
  return undefined;
}

/** Exactly one note whose text begins as kernels write it; undefined for anything else. */
function wholeNote(bytes: Buffer): Uint8Array | undefined {
  if (bytes.length < HEAD || bytes.readUInt32LE(0) !== 11 || bytes.readUInt32LE(8) !== 0) return undefined;
  if (!bytes.subarray(12, HEAD).equals(NAME)) return undefined;
  const text = bytes.readUInt32LE(4);
  const length = HEAD + Math.ceil(text / 4) * 4;
  if (text === 0 || length > bytes.length || !/^[A-Z]+=/u.test(bytes.toString("latin1", HEAD, HEAD + 16)))
    return undefined;
  return bytes.subarray(0, length);
}

/** Physical minus virtual address of the kernel's image, by its VMCOREINFO; 0 where that does not tell. */
export function physBase(note: Uint8Array | undefined): bigint {
  const text = note === undefined ? "" : Buffer.from(note).toString("latin1", HEAD);
  const [, value] = /^NUMBER\((?:phys_base|PHYS_OFFSET)\)=(-?\d{1,19}|0x[\da-f]{1,16})$/mu.exec(text) ?? [];
  return BigInt.asIntN(64, BigInt(value ?? 0));
}
