import type { PageDeflater } from "../../engine/index.js";
import { writeAll } from "../../io/transport/attempt.js";
import type { Segment } from "../layout-types.js";
import { UTS_NAME } from "./utsname.js";

/**
 * A kdump-compressed dump, as `dump-guest-memory -z` writes it (there in makedumpfile's flattened form, here the file
 * itself, which crash, makedumpfile and libkdumpfile read). In blocks of the page size:
 *
 * | blocks          | part                                                                          |
 * |-----------------|-------------------------------------------------------------------------------|
 * | 1               | header: "KDUMP   ", version 6, utsname, status, sizes, CPUs                     |
 * | `sub_hdr_size`  | subheader: phys_base, places of the notes and of VMCOREINFO's text; the notes |
 * | `bitmap_blocks` | two equal bitmaps: a bit for each page, lowest bit first                      |
 * |                 | a descriptor of 24 bytes for each page with a bit: offset, size, flags        |
 * |                 | the pages; all pages of zeros share one                                       |
 *
 * Source: QEMU dump/dump.c, include/sysemu/dump.h (7.2).
 */
interface Kdump {
  pageSize: number;
  littleEndian: boolean;
  /** Name of the machine, as `uname -m` prints it. */
  machine: string;
  /** Linux's `struct new_utsname`, 390 bytes; undefined: only the machine's name is known. */
  utsname: Uint8Array | undefined;
  cpus: number;
  /** All notes as in an ELF core, VMCOREINFO last. */
  notes: Uint8Array;
  /** VMCOREINFO's text in `notes`. */
  vmcoreinfo: { offset: number; length: number } | undefined;
  /** Physical minus virtual address of an x86 kernel's image, from its VMCOREINFO. */
  physBase: bigint;
}

/** Place of the names in the header. */
const UTSNAME = 12;
const SUBHEADER = 104;
const DESCRIPTOR = 24;
const COMPRESSED_ZLIB = 1;
/** QEMU's dump level: pages of zeros are stored once. */
const DUMP_LEVEL = 1;
/** Bytes collected before a write. */
const GATHER = 1 << 17;

/** Pages from `first` up to before `end`, by their numbers. */
interface Run {
  first: number;
  end: number;
}

/** Writes a dump into a file that is open for writing. Call `page` by ascending number, then `end`. */
export class KdumpWriter {
  private readonly runs: Run[];
  private readonly descriptors: Gathered;
  private readonly data: Gathered;
  /** The next page in `runs`, which has no descriptor. */
  private run = 0;
  private next = 0;
  private zeros: Uint8Array | undefined;
  private readonly descriptor = new Uint8Array(DESCRIPTOR);

  /** Writes the headers and the bitmaps. Errors: io. */
  constructor(
    private readonly to: { path: string; fd: number },
    private readonly facts: Kdump,
    private readonly deflater: PageDeflater,
    segments: readonly Segment[],
  ) {
    const { pageSize } = facts;
    this.runs = runsOf(segments, pageSize);
    this.next = this.runs[0]?.first ?? 0;
    const top = this.runs.at(-1)?.end ?? 0;
    const bitmapBlocks = Math.ceil(Math.ceil(top / 8) / pageSize);
    const subBlocks = Math.ceil((SUBHEADER + facts.notes.length) / pageSize);
    writeAll(to.path, to.fd, this.head(top, subBlocks, 2 * bitmapBlocks), 0);
    const bitmapAt = (1 + subBlocks) * pageSize;
    for (const copy of [0, 1]) this.bitmap(bitmapAt + copy * bitmapBlocks * pageSize);
    const at = bitmapAt + 2 * bitmapBlocks * pageSize;
    const pages = this.runs.reduce((sum, { first, end }) => sum + end - first, 0);
    this.descriptors = new Gathered(to, at);
    this.data = new Gathered(to, at + DESCRIPTOR * pages);
  }

  /** Writes a page; the pages before it that were not given are zeros. Errors: io. */
  page(number: number, bytes: Uint8Array): void {
    this.zerosUpTo(number);
    const packed = this.deflater.deflate(bytes);
    const smaller = packed.length < bytes.length;
    this.describe(this.data.add(smaller ? packed : bytes), smaller);
    this.advance();
  }

  /** Writes what is left. Returns the length of the file in bytes. Errors: io. */
  end(): number {
    this.zerosUpTo(Number.POSITIVE_INFINITY);
    this.descriptors.flush();
    this.data.flush();
    return this.data.at;
  }

  private zerosUpTo(number: number): void {
    for (; this.run < this.runs.length && this.next < number; this.advance()) {
      if (this.zeros === undefined) {
        this.describe(this.data.add(new Uint8Array(this.facts.pageSize)), false);
        this.zeros = this.descriptor.slice();
      } else this.descriptors.add(this.zeros);
    }
  }

  private advance(): void {
    this.next++;
    if (this.next < this.runs[this.run]!.end) return;
    this.run++;
    this.next = this.runs[this.run]?.first ?? 0;
  }

  private describe({ at, length }: { at: number; length: number }, compressed: boolean): void {
    const { littleEndian: little } = this.facts;
    const view = new DataView(this.descriptor.buffer);
    view.setBigUint64(0, BigInt(at), little);
    view.setUint32(8, length, little);
    view.setUint32(12, compressed ? COMPRESSED_ZLIB : 0, little);
    this.descriptors.add(this.descriptor);
  }

  private head(top: number, subBlocks: number, bitmapBlocks: number): Uint8Array {
    const { pageSize, littleEndian: little, machine, utsname, cpus, notes, vmcoreinfo, physBase } = this.facts;
    const bytes = new Uint8Array(pageSize + SUBHEADER + notes.length);
    const view = new DataView(bytes.buffer);
    const text = (at: number, value: string): void => bytes.set(new TextEncoder().encode(value), at);
    text(0, "KDUMP   ");
    view.setUint32(8, 6, little);
    if (utsname === undefined) text(UTSNAME + 4 * UTS_NAME, machine);
    else bytes.set(utsname, UTSNAME);
    const most = Math.min(top, 0xffff_ffff);
    [COMPRESSED_ZLIB, pageSize, subBlocks, bitmapBlocks, most, 0, 0, 0, 0, cpus].forEach((value, k) =>
      view.setUint32(424 + 4 * k, value, little),
    );
    const notesAt = pageSize + SUBHEADER;
    const wide = (k: number, value: number): void => view.setBigUint64(pageSize + k, BigInt(value), little);
    view.setBigInt64(pageSize, physBase, little);
    view.setUint32(pageSize + 8, DUMP_LEVEL, little);
    if (vmcoreinfo !== undefined) {
      wide(32, notesAt + vmcoreinfo.offset);
      wide(40, vmcoreinfo.length);
    }
    wide(48, notesAt);
    wide(56, notes.length);
    wide(96, top);
    bytes.set(notes, notesAt);
    return bytes;
  }

  /** Writes a bitmap; parts of it without bits stay holes. */
  private bitmap(at: number): void {
    let start = 0;
    let piece: Uint8Array | undefined;
    const flush = (): void => {
      if (piece !== undefined) writeAll(this.to.path, this.to.fd, piece, at + start);
    };
    for (const { first, end } of this.runs) {
      for (let page = first; page < end;) {
        const byte = Math.floor(page / 8);
        if (piece === undefined || byte - start >= piece.length) {
          flush();
          start = byte - (byte % GATHER);
          const { bitmapLength } = this;
          piece = new Uint8Array(Math.min(GATHER, bitmapLength - start));
        }
        if (page % 8 === 0 && end - page >= 8) {
          const bytes = Math.min(Math.floor((end - page) / 8), piece.length - (byte - start));
          piece.fill(0xff, byte - start, byte - start + bytes);
          page += 8 * bytes;
        } else {
          piece[byte - start]! |= 1 << (page % 8);
          page++;
        }
      }
    }
    flush();
  }

  private get bitmapLength(): number {
    return Math.ceil((this.runs.at(-1)?.end ?? 0) / 8);
  }
}

/** Pages that hold a part of the memory, without overlaps. */
function runsOf(segments: readonly Segment[], pageSize: number): Run[] {
  const runs: Run[] = [];
  for (const { start, length } of segments) {
    const first = Math.floor(start / pageSize);
    const end = Math.ceil((start + length) / pageSize);
    const last = runs.at(-1);
    if (last !== undefined && first <= last.end) last.end = Math.max(last.end, end);
    else runs.push({ first, end });
  }
  return runs;
}

/** Small pieces at consecutive places of a file, written together. */
class Gathered {
  private readonly bytes = new Uint8Array(GATHER);
  private used = 0;

  /** @param at where the next piece goes */
  constructor(
    private readonly to: { path: string; fd: number },
    public at: number,
  ) {}

  add(piece: Uint8Array): { at: number; length: number } {
    if (this.used + piece.length > GATHER) this.flush();
    this.bytes.set(piece, this.used);
    this.used += piece.length;
    const at = this.at;
    this.at += piece.length;
    return { at, length: piece.length };
  }

  flush(): void {
    writeAll(this.to.path, this.to.fd, this.bytes.subarray(0, this.used), this.at - this.used);
    this.used = 0;
  }
}
