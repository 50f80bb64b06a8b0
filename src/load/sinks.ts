import { QevmError } from "../errors.js";
import type { RamBlock } from "../ram/index.js";
import type { LoadSink } from "./load-stream.js";

/** Guest memory as one flat buffer a block; only for blocks that one trusts to be as long as they say. */
export class FlatMemory implements LoadSink {
  readonly blocks = new Map<string, Uint8Array>();

  /** @param limit the largest sum of blocks to take, in bytes */
  constructor(private readonly limit = 4 * 1024 ** 3) {}

  add(block: RamBlock): void {
    let sum = block.usedLength;
    for (const bytes of this.blocks.values()) sum += bytes.length;
    if (sum > this.limit)
      throw new QevmError("limit", "the RAM blocks are longer than this memory", {
        expected: `at most ${this.limit} bytes`,
      });
    this.blocks.set(block.idstr, new Uint8Array(block.usedLength));
  }

  read(block: RamBlock, offset: number, into: Uint8Array): void {
    into.set(this.of(block).subarray(offset, offset + into.length));
  }

  write(block: RamBlock, offset: number, page: Uint8Array): void {
    this.of(block).set(page, offset);
  }

  zero(block: RamBlock, offset: number, length: number): void {
    this.of(block).fill(0, offset, offset + length);
  }

  private of(block: RamBlock): Uint8Array {
    const bytes = this.blocks.get(block.idstr);
    if (bytes === undefined) throw new QevmError("usage", `RAM block ${JSON.stringify(block.idstr)} was not added`);
    return bytes;
  }
}

/** Calls a function with every page in stream order, and keeps them so that XBZRLE has what it changes. */
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
