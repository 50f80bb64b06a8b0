import { createDeflater } from "../../engine/create.js";
import { loadPageModule } from "../../engine/page-module.js";
import { payloadBound, RECORD_HEADER, type DeflateBatch, type EngineKind } from "../../engine/page-engine.js";
import type { RingShape, Slot, SlotWork } from "../../io/threads/index.js";

/** Guest memory that compress threads read directly. */
export interface SharedMemory {
  buffer: SharedArrayBuffer;
  /** Start of the memory in the buffer. */
  start: number;
  /** Length in bytes. */
  length: number;
}

/** Start data of a compress thread; all of it can be sent to a thread. */
export interface CompressSetup {
  engine: EngineKind;
  level: number;
  pageSize: number;
  /** Pages per batch. */
  capacity: number;
  memories: readonly SharedMemory[];
  module: WebAssembly.Module | undefined;
}

/** Completes the setup with what is only available asynchronously. */
export async function compressSetup(setup: Omit<CompressSetup, "module">): Promise<CompressSetup> {
  return { ...setup, module: setup.engine.startsWith("page") ? await loadPageModule() : undefined };
}

/** The shape of the ring for this work. */
export function compressShape({ capacity, pageSize }: CompressSetup, slots: number): RingShape {
  return { slots, capacity, input: capacity * pageSize, output: capacity * (RECORD_HEADER + payloadBound(pageSize)) };
}

/**
 * Compresses a batch to complete records. The engine is created once per thread and reset for each page. The page is
 * copied into the engine's memory first: the guest may write it meanwhile, and compressing a page that changes may give
 * a stream that does not inflate.
 */
export class CompressWork implements SlotWork {
  private readonly sources: readonly Uint8Array[];

  private constructor(
    private readonly batch: DeflateBatch,
    private readonly pageSize: number,
    memories: readonly SharedMemory[],
  ) {
    this.sources = memories.map(({ buffer, start, length }) => new Uint8Array(buffer, start, length));
  }

  static async create(setup: CompressSetup): Promise<CompressWork> {
    const { engine, level, pageSize, capacity, memories, module } = setup;
    const deflater = await createDeflater(engine, { level, pageSize, module });
    return new CompressWork(deflater.batch(capacity), pageSize, memories);
  }

  run(slot: Slot): void {
    const { batch, pageSize } = this;
    const { count } = slot;
    const { pages } = batch;
    const memory = this.sources[slot.source];
    if (memory === undefined) pages.set(slot.input.subarray(0, count * pageSize));
    else this.copyPages(slot, memory, pages);
    const { words } = batch;
    for (let i = 0; i < count; i++) {
      words[i] = (BigInt(slot.words[i * 2 + 1]!) << 32n) | BigInt(slot.words[i * 2]!);
    }
    const length = batch.runRecords(count);
    slot.output.set(batch.output.subarray(0, length));
    slot.starts.set(batch.starts.subarray(0, count));
    slot.lengths.set(batch.lengths.subarray(0, count));
    slot.flags.set(batch.zero.subarray(0, count));
    slot.length = length;
  }
  /** Copies each page into the thread's memory. */
  private copyPages(slot: Slot, memory: Uint8Array, pages: Uint8Array): void {
    const { pageSize } = this;
    for (let i = 0; i < slot.count; i++) {
      const offset = slot.offset(i, pageSize);
      pages.set(memory.subarray(offset, offset + pageSize), i * pageSize);
    }
  }
}
