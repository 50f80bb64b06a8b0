import { QevmError } from "../bytes/errors.js";
import {
  checkCapacity,
  checkCount,
  checkOptions,
  checkPage,
  payloadBound,
  RECORD_HEADER,
  suitsPageEngine,
  type DeflateBatch,
  type EngineOptions,
  type PageDeflater,
} from "./page-engine.js";
import { PageMemory } from "./page-memory.js";

/** Bytes that the engine may read after a page, and write after a payload that it then stores instead. */
const READ_SLACK = 64;
const WRITE_SLACK = 1024;

/** The engine's number for each kind. */
const MODES = { page: 0, "page-fixed": 1, "page-exact": 2 } as const;

/** Deflate by our WebAssembly engine. Made by `createDeflater`. */
export class WasmDeflater implements PageDeflater {
  readonly level = 1;
  readonly pageSize: number;
  private readonly memory: PageMemory;
  private readonly mode: number;
  private readonly page: number;
  private readonly payload: number;

  constructor(
    module: WebAssembly.Module,
    readonly kind: keyof typeof MODES,
    options: EngineOptions = {},
  ) {
    const { pageSize } = checkOptions(options);
    if (!suitsPageEngine(pageSize)) throw new QevmError("usage", `the page engine has no pages of ${pageSize} bytes`);
    this.pageSize = pageSize;
    this.mode = MODES[kind];
    this.memory = new PageMemory(module);
    this.page = this.memory.allocate(pageSize + READ_SLACK);
    this.payload = this.memory.allocate(payloadBound(pageSize) + WRITE_SLACK);
  }

  deflate(page: Uint8Array): Uint8Array {
    checkPage(page, this.pageSize);
    const { bytes, exports } = this.memory;
    bytes.set(page, this.page);
    return bytes.subarray(this.payload, exports.deflatePage(this.mode, this.page, this.pageSize, this.payload));
  }

  batch(capacity: number): DeflateBatch {
    return new WasmDeflateBatch(this.memory, this.mode, this.pageSize, capacity);
  }
}

class WasmDeflateBatch implements DeflateBatch {
  private readonly at: { pages: number; output: number; starts: number; lengths: number; zero: number; words: number };
  private arrays: Arrays;

  constructor(
    private readonly memory: PageMemory,
    private readonly mode: number,
    private readonly pageSize: number,
    readonly capacity: number,
  ) {
    checkCapacity(capacity);
    this.at = {
      pages: memory.allocate(capacity * pageSize + READ_SLACK),
      output: memory.allocate(capacity * (RECORD_HEADER + payloadBound(pageSize)) + WRITE_SLACK),
      starts: memory.allocate(capacity * 4),
      lengths: memory.allocate(capacity * 4),
      zero: memory.allocate(capacity),
      words: memory.allocate(capacity * 8),
    };
    this.arrays = this.mapArrays();
  }

  get pages(): Uint8Array {
    return this.current.pages;
  }
  get output(): Uint8Array {
    return this.current.output;
  }
  get starts(): Uint32Array {
    return this.current.starts;
  }
  get lengths(): Uint32Array {
    return this.current.lengths;
  }
  get zero(): Uint8Array {
    return this.current.zero;
  }
  get words(): BigUint64Array {
    return this.current.words;
  }

  run(count: number): number {
    return this.runBatch(count, 0);
  }

  runRecords(count: number): number {
    return this.runBatch(count, this.at.words);
  }

  private runBatch(count: number, words: number): number {
    checkCount(count, this.capacity);
    const { pages, output, starts, lengths, zero } = this.at;
    const { exports } = this.memory;
    return exports.deflateBatch(this.mode, pages, this.pageSize, count, output, starts, lengths, zero, words);
  }

  private get current(): Arrays {
    if (this.arrays.pages.buffer !== this.memory.exports.memory.buffer) this.arrays = this.mapArrays();
    return this.arrays;
  }

  private mapArrays(): Arrays {
    const { at, capacity, pageSize } = this;
    const { buffer } = this.memory.exports.memory;
    return {
      pages: new Uint8Array(buffer, at.pages, capacity * pageSize),
      output: new Uint8Array(buffer, at.output, capacity * (RECORD_HEADER + payloadBound(pageSize))),
      starts: new Uint32Array(buffer, at.starts, capacity),
      lengths: new Uint32Array(buffer, at.lengths, capacity),
      zero: new Uint8Array(buffer, at.zero, capacity),
      words: new BigUint64Array(buffer, at.words, capacity),
    };
  }
}

interface Arrays {
  pages: Uint8Array;
  output: Uint8Array;
  starts: Uint32Array;
  lengths: Uint32Array;
  zero: Uint8Array;
  words: BigUint64Array;
}
