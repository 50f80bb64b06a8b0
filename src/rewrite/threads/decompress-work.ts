import { createInflater } from "../../engine/create.js";
import { loadPageModule } from "../../engine/page-module.js";
import { payloadRoom, type EngineKind, type InflateBatch } from "../../engine/page-engine.js";
import { aligned, ThreadPool, type RingShape, type Slot, type SlotWork } from "../../io/threads/index.js";
import type { RamBatch } from "../../codec/ram/index.js";

/** Start data of a decompress thread. */
export interface DecompressSetup {
  engine: EngineKind;
  pageSize: number;
  /** Pages per batch. */
  capacity: number;
  module: WebAssembly.Module | undefined;
  /** Memories that threads write pages into; a slot's `source` is the index, -1 its output. */
  memories: readonly SharedArrayBuffer[];
}

/** Completes the setup with what is only available asynchronously. */
async function decompressSetup(setup: Omit<DecompressSetup, "module">): Promise<DecompressSetup> {
  return { ...setup, module: setup.engine.startsWith("page") ? await loadPageModule() : undefined };
}

/** The shape of the ring for this work: payloads in, pages out; the error texts of refused pages follow the pages. */
function decompressShape({ capacity, pageSize }: DecompressSetup, slots: number): RingShape {
  return { slots, capacity, input: capacity * payloadRoom(pageSize), output: capacity * (pageSize + REASON) };
}

/**
 * Starts threads that run `decompress-worker.ts`. @param help whether the owner inflates too while it waits. Errors:
 * usage, io.
 */
export async function startDecompressPool(
  setup: Omit<DecompressSetup, "module">,
  { threads, slots, help }: { threads: number; slots: number; help: boolean },
): Promise<ThreadPool> {
  const data = await decompressSetup(setup);
  return await ThreadPool.start({
    threads,
    shape: decompressShape(data, slots),
    script: new URL("decompress-worker.js", import.meta.url),
    data,
    work: help ? await DecompressWork.create(data) : undefined,
  });
}

/**
 * Appends the payload of record `i` to a slot, whose input is in use up to `used`; returns the new end.
 */
export function putPayload(slot: Slot, used: number, batch: RamBatch, i: number): number {
  const start = batch.bodyStart[i]!;
  const length = batch.bodyLength[i]!;
  const payload = batch.buffer.subarray(start, start + length);
  const at = aligned(payload, used);
  const n = slot.count;
  slot.input.set(payload, at);
  slot.starts[n] = at;
  slot.lengths[n] = length;
  slot.setWord(n, batch.offset[i]!, 0);
  slot.count = n + 1;
  return at + length;
}

/** Space for the reason why a page was refused, in bytes. */
const REASON = 512;

/** Why a payload was refused, in the form that crosses threads. */
export interface Refusal {
  what: string;
  expected: string | undefined;
  found: string | undefined;
}

/** Inflates a batch. `flags` is 1 where a page was refused; `words` then has the number of bytes that were written. */
export class DecompressWork implements SlotWork {
  private constructor(
    private readonly batch: InflateBatch,
    private readonly pageSize: number,
    private readonly memories: readonly Uint8Array[],
  ) {}

  static async create({ engine, pageSize, capacity, module, memories }: DecompressSetup): Promise<DecompressWork> {
    const inflater = await createInflater(engine, { pageSize, module });
    return new DecompressWork(
      inflater.batch(capacity),
      pageSize,
      memories.map((memory) => new Uint8Array(memory)),
    );
  }

  run(slot: Slot): void {
    const { batch, pageSize } = this;
    const { count } = slot;
    const end = slot.starts[count - 1]! + slot.lengths[count - 1]!;
    batch.input.set(slot.input.subarray(0, end));
    batch.starts.set(slot.starts.subarray(0, count));
    batch.lengths.set(slot.lengths.subarray(0, count));
    const refused = batch.run(count);
    slot.flags.fill(0, 0, count);
    slot.length = count * pageSize;
    const memory = this.memories[slot.source];
    if (memory === undefined) slot.output.set(batch.pages.subarray(0, count * pageSize));
    else this.write(memory, slot);
    if (refused === 0) return;
    for (let i = 0; i < count; i++) {
      const error = batch.failure(i);
      if (error === undefined) continue;
      slot.flags[i] = 1;
      if (memory !== undefined) {
        slot.output.set(batch.pages.subarray(i * pageSize, (i + 1) * pageSize), i * pageSize);
      }
      slot.words[i * 2] = batch.produced[i]!;
      const { what, expected, found } = error;
      const reason: Refusal = { what, expected, found };
      const bytes = new TextEncoder().encode(JSON.stringify(reason)).subarray(0, REASON);
      const at = reasonAt(slot, i, pageSize);
      slot.output.fill(0, at, at + REASON);
      slot.output.set(bytes, at);
    }
  }

  /** Copies the pages to their addresses, adjacent ones together. Refused pages are left out. */
  private write(memory: Uint8Array, slot: Slot): void {
    const { batch, pageSize } = this;
    const { count } = slot;
    for (let i = 0; i < count;) {
      const first = i;
      const start = slot.offset(first, pageSize);
      while (i < count && batch.failure(i) === undefined && slot.offset(i, pageSize) === start + (i - first) * pageSize)
        i++;
      if (i > first) memory.set(batch.pages.subarray(first * pageSize, i * pageSize), start);
      else i++;
    }
  }
}

/** Why page `i` of a batch was refused. */
export function refusal(slot: Slot, i: number, pageSize: number): Refusal {
  const at = reasonAt(slot, i, pageSize);
  const bytes = slot.output.slice(at, at + REASON);
  const end = bytes.indexOf(0);
  return JSON.parse(new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end))) as Refusal;
}

function reasonAt(slot: Slot, i: number, pageSize: number): number {
  return slot.flags.length * pageSize + i * REASON;
}
