import { closeSync, fstatSync, ftruncateSync, openSync } from "node:fs";
import { QevmError } from "../../bytes/errors.js";
import { createDeflater } from "../../engine/index.js";
import { isZero } from "../../bytes/zero.js";
import { attempt, readAll, writeAll } from "../../io/transport/attempt.js";
import type { Layout, Segment, VgaRegisters } from "../layout-types.js";
import { VGA_WINDOW, VGA_WINDOW_LENGTH } from "../layout/vga-registers.js";
import { vgaWindow } from "../layout/vga-window.js";
import { PIECE, type BlockData } from "./block-data.js";
import { fileOffset, type Split } from "./block-files.js";
import { coreKind, coreNotes, elfHead, type CoreNotes } from "./elf.js";
import { KdumpWriter } from "./kdump.js";
import type { Load } from "./paging.js";
import { NOTE_HEAD } from "../cores/vmcoreinfo-place.js";
import { physBase } from "./vmcoreinfo.js";
import { nameAt } from "./utsname.js";

/** The output file, and its name in errors. */
export interface Target {
  path: string;
  fd: number;
}

/** A range, and the gap in its block's file; default: none. */
export interface LaidRange extends Segment {
  split?: Split;
}

/** What is written beside the memory itself. */
interface PhysicalParts {
  format: "raw" | "elf" | "lime";
  /** For elf. */
  notes: CoreNotes;
  /** For elf: memory by virtual addresses; default: each range by its physical address. */
  loads?: readonly Load[] | undefined;
  /** For raw: the address of byte 0, and the length where it was asked for. */
  from?: number | undefined;
  length?: number | undefined;
}

/** Writes memory as one file. Returns its length in bytes. Errors: io. */
export function writePhysical(
  to: Target,
  data: BlockData,
  ranges: readonly LaidRange[],
  { format, notes, loads, from = 0, length }: PhysicalParts,
): number {
  let at = 0;
  if (format === "elf") {
    const head = elfHead(ranges, notes, loads);
    writeAll(to.path, to.fd, head, 0);
    at = head.length;
  }
  for (const range of ranges) {
    if (format === "lime") {
      const head = limeHeader(range);
      writeAll(to.path, to.fd, head, at);
      at += head.length;
    } else if (format === "raw") {
      at = range.start - from;
    }
    copyRange(data, range, to, at);
    at += range.length;
  }
  const bytes = format === "raw" && length !== undefined ? length : at;
  attempt(to.path, () => ftruncateSync(to.fd, bytes));
  return bytes;
}

/** Target pages of a dump, as QEMU chooses them: the largest that the kernels of an architecture have. */
const LARGE_PAGES: ReadonlySet<string> = new Set(["aarch64", "ppc64", "ppc64le"]);
const UNAME: Readonly<Record<number, string>> = {
  62: "x86_64",
  183: "aarch64",
  22: "s390x",
  243: "riscv64",
  21: "ppc64",
};

/**
 * Writes memory as a kdump-compressed dump. Returns its length in bytes. Errors: io.
 * @param utsname the guest's, for the header
 */
export async function writeKdump(
  to: Target,
  data: BlockData,
  ranges: readonly LaidRange[],
  notes: CoreNotes,
  utsname: Uint8Array | undefined,
): Promise<number> {
  const { machine: number, littleEndian } = coreKind(notes);
  const machine = `${UNAME[number] ?? "unknown"}${number === 21 && littleEndian ? "le" : ""}`;
  const pageSize = LARGE_PAGES.has(machine) ? 1 << 16 : 4096;
  const all = coreNotes(notes);
  const { vmcoreinfo: note, cpus } = notes;
  const vmcoreinfo =
    note === undefined
      ? undefined
      : {
          offset: all.length - note.length + NOTE_HEAD,
          length: new DataView(note.buffer, note.byteOffset).getUint32(4, true),
        };
  const facts = {
    pageSize,
    littleEndian,
    machine,
    utsname: utsname !== undefined && nameAt(utsname, 4) === machine ? utsname : undefined,
    cpus: cpus.length,
    notes: all,
    vmcoreinfo,
    physBase: physBase(note),
  };
  const deflater = await createDeflater("page", { pageSize, level: 1 });
  const writer = new KdumpWriter(to, facts, deflater, ranges);
  for (const { number: page, bytes } of pagesOf(data, ranges, pageSize)) writer.page(page, bytes);
  const bytes = writer.end();
  attempt(to.path, () => ftruncateSync(to.fd, bytes));
  return bytes;
}

/** The pages that are not zeros, by ascending number. Ranges need not begin at a page. */
function* pagesOf(
  data: BlockData,
  ranges: readonly LaidRange[],
  pageSize: number,
): Generator<{ number: number; bytes: Uint8Array }> {
  let page = { number: -1, bytes: new Uint8Array(pageSize) };
  const isFull = (): boolean => page.number >= 0 && !isZero(page.bytes);
  for (const range of ranges) {
    for (const { address, bytes } of contents(data, range)) {
      for (let at = 0; at < bytes.length;) {
        const number = Math.floor((address + at) / pageSize);
        if (number !== page.number) {
          if (isFull()) yield page;
          page = { number, bytes: page.bytes.fill(0) };
        }
        const within = (address + at) % pageSize;
        const part = bytes.subarray(at, at + pageSize - within);
        page.bytes.set(part, within);
        at += part.length;
      }
    }
  }
  if (isFull()) yield page;
}

/** Writes the part of the VGA window that is inside the file, as a CPU would read it. Errors: io. */
export function writeWindow(to: Target, data: BlockData, { vga }: Layout, bytes: number, from: number): void {
  const start = Math.max(from, VGA_WINDOW);
  const end = Math.min(from + bytes, VGA_WINDOW + VGA_WINDOW_LENGTH);
  if (vga === undefined || start >= end) return;
  const window = windowOf(data.path(vga.block), vga.registers);
  writeAll(to.path, to.fd, window.subarray(start - VGA_WINDOW, end - VGA_WINDOW), start - from);
}

/** The contents of the window, from the adapter's memory in a file. Reads only the bytes that are needed. */
function windowOf(path: string, registers: VgaRegisters): Uint8Array {
  const fd = attempt(path, () => openSync(path, "r"));
  const pieces = new Map<number, Uint8Array>();
  const at = (offset: number): number | undefined => {
    const start = offset - (offset % PIECE);
    let piece = pieces.get(start);
    if (piece === undefined) {
      pieces.set(start, (piece = new Uint8Array(PIECE)));
      readAll(path, fd, piece, start);
    }
    return piece[offset - start];
  };
  try {
    return attempt(path, () => vgaWindow(registers, { length: fstatSync(fd).size, at }));
  } finally {
    closeSync(fd);
  }
}

/** u32 magic "EMiL", u32 version 1, u64 first and last address, 8 zero bytes; little-endian. */
function limeHeader({ start, length }: Segment): Uint8Array {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x4c694d45, true);
  view.setUint32(4, 1, true);
  view.setBigUint64(8, BigInt(start), true);
  view.setBigUint64(16, BigInt(start + length - 1), true);
  return bytes;
}

const buffer = Buffer.alloc(PIECE);
const zeros = Buffer.alloc(PIECE);

/** Copies everything that is not zero; the rest stays a hole. Errors: io. */
export function copyRange(data: BlockData, range: LaidRange, to: Target, at: number): void {
  for (const { address, bytes } of contents(data, range)) {
    if (bytes.compare(zeros, 0, bytes.length) !== 0) writeAll(to.path, to.fd, bytes, at + address - range.start);
  }
}

/** The written bytes of a range in pieces, each valid until the next. */
function* contents(data: BlockData, range: LaidRange): Generator<{ address: number; bytes: Buffer }> {
  const { block, start, offset, length, split } = range;
  const path = data.path(block);
  const from = attempt(path, () => openSync(path, "r"));
  try {
    for (const piece of data.pieces(block, offset, length)) {
      // No piece crosses a split, which is a multiple of the piece size.
      const at = split === undefined ? piece.offset : fileOffset(split, piece.offset);
      const bytes = buffer.subarray(0, piece.length);
      if (readAll(path, from, bytes, at) < bytes.length) throw new QevmError("io", `${path}: shorter than it was`);
      yield { address: start + piece.offset - offset, bytes };
    }
  } finally {
    closeSync(from);
  }
}
