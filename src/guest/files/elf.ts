import { type CoreCpu, encodeNote } from "../cores/core-note.js";
import type { Segment } from "../layout-types.js";
import type { Load } from "./paging.js";

const HEADER = 64;
const PROGRAM_HEADER = 56;
const SECTION_HEADER = 64;
/**
 * e_phnum has this value where there are as many program headers or more; section header 0 has the real number (ELF
 * specification; QEMU does the same).
 */
const PN_XNUM = 0xffff;
/** Offset of that number in a section header. */
const SH_INFO = 44;
const EM_X86_64 = 62;

/** The data for a core's notes. */
export interface CoreNotes {
  cpus: readonly CoreCpu[];
  /** The guest's VMCOREINFO note as it is in guest memory, with its header. */
  vmcoreinfo?: Uint8Array | undefined;
  /** Used where no CPU was decoded; default x86_64. */
  fallback?: Pick<CoreCpu, "machine" | "littleEndian"> | undefined;
}

/** Machine and byte order of a core: the first CPU's. */
export function coreKind({ cpus, fallback }: CoreNotes): Pick<CoreCpu, "machine" | "littleEndian"> {
  return cpus[0] ?? fallback ?? { machine: EM_X86_64, littleEndian: true };
}

/** All notes, as they follow each other: those of each CPU in turn, then those after all CPUs, then VMCOREINFO. */
export function coreNotes(all: CoreNotes): Buffer {
  const { littleEndian: little } = coreKind(all);
  const { cpus, vmcoreinfo } = all;
  const notes = [...cpus.flatMap((cpu, k) => cpu.notes(k, little)), ...cpus.flatMap((cpu) => cpu.later?.() ?? [])];
  return Buffer.concat([
    ...notes.map((one) => encodeNote(one, little)),
    ...(vmcoreinfo === undefined ? [] : [vmcoreinfo]),
  ]);
}

/**
 * The head of a 64-bit ELF core: header, program headers (a PT_NOTE where there are notes; a PT_LOAD per segment, or
 * for each of `loads`), notes. The segments' bytes follow in order. Notes are in the order of QEMU's dump-guest-memory.
 *
 * Where no memory reaches 4 GiB, QEMU writes a 32-bit ELF for an x86 guest outside long mode; but every PC has firmware
 * that ends at 4 GiB. Source: QEMU dump/dump.c (7.2).
 */
export function elfHead(segments: readonly Segment[], all: CoreNotes, loads?: readonly Load[]): Uint8Array {
  const { machine, littleEndian: little } = coreKind(all);
  const notes = coreNotes(all);
  const notesLength = notes.length;
  // readelf warns of an empty segment of notes.
  const noted = notesLength > 0 ? 1 : 0;
  const count = noted + (loads ?? segments).length;
  const extended = count >= PN_XNUM;
  const headersAt = extended ? HEADER + SECTION_HEADER : HEADER;
  const notesAt = headersAt + PROGRAM_HEADER * count;
  const bytes = new Uint8Array(notesAt + notesLength);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, little ? 1 : 2, 1]);
  view.setUint16(16, 4, little);
  view.setUint16(18, machine, little);
  view.setUint32(20, 1, little);
  view.setBigUint64(32, BigInt(headersAt), little);
  view.setUint16(52, HEADER, little);
  view.setUint16(54, PROGRAM_HEADER, little);
  view.setUint16(56, extended ? PN_XNUM : count, little);
  if (extended) {
    view.setBigUint64(40, BigInt(HEADER), little);
    view.setUint16(58, SECTION_HEADER, little);
    view.setUint16(60, 1, little);
    view.setUint32(HEADER + SH_INFO, count, little);
  }
  if (noted === 1)
    programHeader(view, headersAt, { type: 4, offset: notesAt, address: 0, length: notesLength }, little);
  let offset = bytes.length;
  const placed = segments.map((segment) => {
    const of = { ...segment, offset };
    offset += segment.length;
    return of;
  });
  const loaded =
    loads?.map(({ virtual, physical, length }) => {
      const { start, offset: at } = placed.find((one) => one.start <= physical && physical < one.start + one.length)!;
      return { type: 1, offset: at + physical - start, virtual, address: physical, length };
    }) ?? placed.map(({ start, length, offset: at }) => ({ type: 1, offset: at, address: start, length }));
  loaded.forEach((load, k) => programHeader(view, headersAt + PROGRAM_HEADER * (k + noted), load, little));
  bytes.set(notes, notesAt);
  return bytes;
}

interface ProgramHeader {
  type: number;
  offset: number;
  /** Default: the physical address. */
  virtual?: bigint;
  address: number;
  length: number;
}

function programHeader(view: DataView, at: number, header: ProgramHeader, little: boolean): void {
  const { type, offset, address, virtual = BigInt(address), length } = header;
  view.setUint32(at, type, little);
  [offset, virtual, address, length, length].forEach((value, k) => {
    view.setBigUint64(at + 8 + 8 * k, BigInt(value), little);
  });
}
