import { hex, QevmError } from "../../bytes/errors.js";
import type { RamBlock } from "../../codec/ram/index.js";
import type { LoadSink } from "../threads/load-sink.js";

/** Bytes per mark of `Flat.touched`. */
const MARK = 4096;

interface Flat {
  readonly bytes: Uint8Array;
  readonly buffer: SharedArrayBuffer;
  /** 1 where something was written. Untouched memory is zero and is not resident. */
  readonly touched: Uint8Array;
}

/**
 * Guest memory as one flat shared buffer per block, so that threads can write into it. Use it only where the stated
 * block sizes are trusted.
 */
export class FlatMemory implements LoadSink {
  private readonly flat = new Map<string, Flat>();

  /** @param limit maximum total size of the blocks in bytes */
  constructor(private readonly limit = 4 * 1024 ** 3) {}

  /** The bytes of every block, by `idstr`. */
  get blocks(): ReadonlyMap<string, Uint8Array> {
    return new Map(Array.from(this.flat, ([idstr, { bytes }]) => [idstr, bytes]));
  }

  add(block: RamBlock): void {
    let sum = block.usedLength;
    for (const { bytes } of this.flat.values()) sum += bytes.length;
    if (sum > this.limit)
      throw new QevmError("limit", "the RAM blocks are longer than this memory", {
        expected: `at most ${this.limit} bytes`,
      });
    const buffer = new SharedArrayBuffer(block.usedLength);
    const touched = new Uint8Array(Math.ceil(block.usedLength / MARK));
    this.flat.set(block.idstr, { bytes: new Uint8Array(buffer), buffer, touched });
  }

  memory(block: RamBlock): SharedArrayBuffer {
    return this.bufferOf(block).buffer;
  }

  willWrite(block: RamBlock, offset: number, length: number): void {
    const { touched } = this.bufferOf(block, offset + length);
    const end = (offset + length) / MARK;
    for (let i = Math.floor(offset / MARK); i < end; i++) touched[i] = 1;
  }

  read(block: RamBlock, offset: number, into: Uint8Array): void {
    into.set(this.bufferOf(block, offset + into.length).bytes.subarray(offset, offset + into.length));
  }

  write(block: RamBlock, offset: number, page: Uint8Array): void {
    this.willWrite(block, offset, page.length);
    this.bufferOf(block).bytes.set(page, offset);
  }

  zero(block: RamBlock, offset: number, length: number): void {
    const { bytes, touched } = this.bufferOf(block, offset + length);
    const end = (offset + length) / MARK;
    let i = Math.floor(offset / MARK);
    while (i < end && touched[i] === 0) i++;
    if (i < end) bytes.fill(0, offset, offset + length);
  }

  /** Errors: usage; bad-offset where a page that lenient mode accepted ends outside its block. */
  private bufferOf(block: RamBlock, end = 0): Flat {
    const flat = this.flat.get(block.idstr);
    if (flat === undefined) throw new QevmError("usage", `RAM block ${JSON.stringify(block.idstr)} was not added`);
    if (end > flat.bytes.length) {
      const expected = `an end at ${hex(flat.bytes.length)} or before`;
      throw new QevmError("bad-offset", `a page outside RAM block "${block.idstr}"`, { expected, found: hex(end) });
    }
    return flat;
  }
}

/** A sink that calls a function for every page in stream order, and keeps the pages for XBZRLE. */
export function sinkOf(store: LoadSink, onPage: (block: RamBlock, offset: number, page: Uint8Array) => void): LoadSink {
  return {
    add: (block) => store.add?.(block),
    flush: () => store.flush?.(),
    read: (block, offset, into) => store.read(block, offset, into),
    write: (block, offset, page) => {
      store.write(block, offset, page);
      onPage(block, offset, page);
    },
    zero: (block, offset, length) => {
      store.zero(block, offset, length);
      onPage(block, offset, new Uint8Array(length));
    },
  };
}
