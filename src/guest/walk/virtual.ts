import { hex, QevmError } from "../../bytes/errors.js";
import type { AddressSpace } from "./types.js";
import { translate } from "./walk.js";

/** A piece of a virtual range that lies in one piece in physical memory. */
export interface VirtualPart {
  virtual: bigint;
  physical: bigint;
  length: number;
}

/** Bytes of one part at most, so that a large page does not need as much memory. */
const MOST_PART = 1 << 20;

/**
 * The parts of a virtual range, one after the other. Errors: usage where an address is not mapped or the range ends after
 * the last address; as `translate`.
 */
export async function* virtualParts(space: AddressSpace, address: bigint, length: number): AsyncGenerator<VirtualPart> {
  if (address + BigInt(length) > 1n << 64n) throw new QevmError("usage", "the range goes on after the last address");
  for (let done = 0; done < length;) {
    const virtual = address + BigInt(done);
    const found = await translate(space, virtual);
    if (found.physical === undefined) throw notMapped(virtual, found.fault);
    const part = Math.min(found.length, length - done, MOST_PART);
    yield { virtual, physical: found.physical, length: part };
    done += part;
  }
}

/** The error for an address that is not mapped. */
function notMapped(virtual: bigint, fault: string): QevmError {
  return new QevmError("usage", `virtual address ${hex(virtual)} is not mapped: ${fault}`);
}

/** Bytes at physical addresses that a virtual range is mapped to. Errors: usage where that is not memory. */
export async function readPart(space: AddressSpace, { virtual, physical, length }: VirtualPart): Promise<Uint8Array> {
  if (physical + BigInt(length) > BigInt(Number.MAX_SAFE_INTEGER)) throw noMemory(virtual, physical);
  try {
    return await space.memory.readPhysical(Number(physical), length);
  } catch (error) {
    if (error instanceof QevmError && error.code === "usage") throw noMemory(virtual, physical, error);
    throw error;
  }
}

function noMemory(virtual: bigint, physical: bigint, cause?: unknown): QevmError {
  const what = `virtual address ${hex(virtual)} is mapped to ${hex(physical)}, where the guest has no memory`;
  return new QevmError("usage", what, { cause });
}

/**
 * Bytes at a virtual address, over the borders of pages. Errors: usage (not mapped: which level; mapped to what is not
 * memory); those of page payloads.
 */
export async function readVirtual(space: AddressSpace, address: bigint, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let at = 0;
  for await (const part of virtualParts(space, address, length)) {
    bytes.set(await readPart(space, part), at);
    at += part.length;
  }
  return bytes;
}

/** Bytes of a string that are read at a time. */
const PIECE = 256;

/**
 * The bytes of a NUL-terminated string, without the NUL; `ended` is false where there is none in the first `most` bytes.
 * Only pages that the string is on need be mapped. Errors: as `readVirtual`.
 */
export async function readString(
  space: AddressSpace,
  address: bigint,
  most: number,
): Promise<{ bytes: Uint8Array; ended: boolean }> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const part of virtualParts(space, address, most)) {
    for (let done = 0; done < part.length;) {
      const size = Math.min(PIECE, part.length - done);
      const at = { virtual: part.virtual + BigInt(done), physical: part.physical + BigInt(done), length: size };
      const bytes = await readPart(space, at);
      const end = bytes.indexOf(0);
      pieces.push(end < 0 ? bytes : bytes.subarray(0, end));
      length += pieces.at(-1)!.length;
      if (end >= 0) return { bytes: joined(pieces, length), ended: true };
      done += size;
    }
  }
  return { bytes: joined(pieces, length), ended: false };
}

function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}
