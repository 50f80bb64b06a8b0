import { QevmError } from "../bytes/errors.js";
import { ExactInflater } from "./exact.js";
import {
  checkCapacity,
  checkCount,
  checkOptions,
  checkPage,
  payloadBound,
  payloadRoom,
  suitsPageEngine,
  type EngineOptions,
  type InflateBatch,
  type PageInflater,
} from "./page-engine.js";
import { PageMemory } from "./page-memory.js";
import { outsideInput } from "./plain-batch.js";

/** Bytes that the engine may read after a payload and write after a page. */
const READ_SLACK = 64;
const WRITE_SLACK = 512;

/**
 * Inflate by our WebAssembly engine. Made by `createInflater`. A payload that it refuses goes to pako, which either
 * decodes it (valid streams that no page compressor writes) or makes the error message.
 */
export class WasmInflater implements PageInflater {
  readonly kind = "page";
  readonly pageSize: number;
  produced = 0;
  private readonly memory: PageMemory;
  private readonly exact: ExactInflater;
  private readonly bound: number;
  private readonly payload: number;
  private readonly page: number;

  constructor(module: WebAssembly.Module, options: EngineOptions = {}) {
    this.pageSize = checkOptions(options).pageSize;
    if (!suitsPageEngine(this.pageSize)) {
      throw new QevmError("usage", `the page engine has no pages of ${this.pageSize} bytes`);
    }
    this.exact = new ExactInflater(options);
    this.memory = new PageMemory(module);
    this.bound = payloadBound(this.pageSize);
    this.payload = this.memory.allocate(this.bound + READ_SLACK);
    this.page = this.memory.allocate(this.pageSize + WRITE_SLACK);
  }

  inflate(payload: Uint8Array, into: Uint8Array): void {
    checkPage(into, this.pageSize);
    if (payload.length <= this.bound) {
      const { bytes, exports } = this.memory;
      bytes.set(payload, this.payload);
      if (exports.inflatePage(this.payload, payload.length, this.page, this.pageSize) !== 0) {
        into.set(bytes.subarray(this.page, this.page + this.pageSize));
        this.produced = this.pageSize;
        return;
      }
    }
    try {
      this.exact.inflate(payload, into);
    } finally {
      this.produced = this.exact.produced;
    }
  }

  batch(capacity: number): InflateBatch {
    return new WasmInflateBatch(this.memory, this.exact, capacity);
  }
}

class WasmInflateBatch implements InflateBatch {
  readonly produced: Uint32Array;
  private readonly at: { input: number; starts: number; lengths: number; pages: number; good: number };
  private readonly room: number;
  private readonly failures = new Map<number, QevmError>();
  private arrays: Arrays;

  constructor(
    private readonly memory: PageMemory,
    private readonly exact: ExactInflater,
    readonly capacity: number,
  ) {
    checkCapacity(capacity);
    this.room = capacity * payloadRoom(exact.pageSize);
    this.produced = new Uint32Array(capacity);
    this.at = {
      input: memory.allocate(this.room + READ_SLACK),
      starts: memory.allocate(capacity * 4),
      lengths: memory.allocate(capacity * 4),
      pages: memory.allocate(capacity * exact.pageSize + WRITE_SLACK),
      good: memory.allocate(capacity),
    };
    this.arrays = this.mapArrays();
  }

  get input(): Uint8Array {
    return this.current.input;
  }
  get starts(): Uint32Array {
    return this.current.starts;
  }
  get lengths(): Uint32Array {
    return this.current.lengths;
  }
  get pages(): Uint8Array {
    return this.current.pages;
  }

  run(count: number): number {
    checkCount(count, this.capacity);
    const { input, starts, lengths, pages, good } = this.current;
    for (let i = 0; i < count; i++) if (starts[i]! + lengths[i]! > this.room) throw outsideInput(i, this.room);
    const { at, memory, exact, failures } = this;
    const size = exact.pageSize;
    failures.clear();
    this.produced.fill(size, 0, count);
    if (memory.exports.inflateBatch(at.input, at.starts, at.lengths, count, at.pages, size, at.good) === 0) return 0;
    for (let i = 0; i < count; i++) {
      if (good[i] !== 0) continue;
      try {
        const payload = input.subarray(starts[i], starts[i]! + lengths[i]!);
        exact.inflate(payload, pages.subarray(i * size, (i + 1) * size));
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
        failures.set(i, error);
        this.produced[i] = exact.produced;
      }
    }
    return failures.size;
  }

  failure(index: number): QevmError | undefined {
    return this.failures.get(index);
  }

  private get current(): Arrays {
    if (this.arrays.pages.buffer !== this.memory.exports.memory.buffer) this.arrays = this.mapArrays();
    return this.arrays;
  }

  private mapArrays(): Arrays {
    const { at, capacity, room } = this;
    const { buffer } = this.memory.exports.memory;
    return {
      input: new Uint8Array(buffer, at.input, room),
      starts: new Uint32Array(buffer, at.starts, capacity),
      lengths: new Uint32Array(buffer, at.lengths, capacity),
      pages: new Uint8Array(buffer, at.pages, capacity * this.exact.pageSize),
      good: new Uint8Array(buffer, at.good, capacity),
    };
  }
}

interface Arrays {
  input: Uint8Array;
  starts: Uint32Array;
  lengths: Uint32Array;
  pages: Uint8Array;
  good: Uint8Array;
}
