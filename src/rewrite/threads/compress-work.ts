import { createDeflater } from "../../engine/create.js";
import { loadPageModule } from "../../engine/page-module.js";
import { payloadBound, RECORD_HEADER, type DeflateBatch, type EngineKind } from "../../engine/page-engine.js";
import type { RingShape, Slot, SlotWork } from "../../io/threads/index.js";

/** Guest memory that compress threads read by themselves. */
export interface SharedMemory {
  buffer: SharedArrayBuffer;
  /** Where in the buffer the memory starts. */
  start: number;
  /** Bytes. */
  length: number;
}

/** What a compress thread is told at its start; everything in it can be sent to a thread. */
export interface CompressSetup {
  engine: EngineKind;
  level: number;
  pageSize: number;
  /** Pages a batch. */
  capacity: number;
  memories: readonly SharedMemory[];
  module: WebAssembly.Module | undefined;
}

/** Fills in what can only be had asynchronously. */
export async function compressSetup(setup: Omit<CompressSetup, "module">): Promise<CompressSetup> {
  return { ...setup, module: setup.engine.startsWith("page") ? await loadPageModule() : undefined };
}

/** The ring that such work needs. */
export function compressShape({ capacity, pageSize }: CompressSetup, slots: number): RingShape {
  return { slots, capacity, input: capacity * pageSize, output: capacity * (RECORD_HEADER + payloadBound(pageSize)) };
}

/**
 * Compresses a batch to finished records. The engine's state is made once a thread and reset a page, and the page is copied
 * into the engine's own memory first: the guest may write it meanwhile, and a stream made of a page that changes under the
 * compressor need not inflate.
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
  /** The thread's own copy of each page. */
  private copyPages(slot: Slot, memory: Uint8Array, pages: Uint8Array): void {
    const { pageSize } = this;
    for (let i = 0; i < slot.count; i++) {
      const offset = slot.offset(i, pageSize);
      pages.set(memory.subarray(offset, offset + pageSize), i * pageSize);
    }
  }
}
