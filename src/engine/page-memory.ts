/** The exports of src/engine/wasm/unzstd-exports.ts. All addresses and lengths are unsigned 32-bit numbers. */
export interface UnzstdExports {
  /** Bytes of the workspace and of a job. */
  readonly UNZSTD_WORK: WebAssembly.Global;
  readonly UNZSTD_JOB: WebAssembly.Global;
  unzstdInit(work: number): void;
  unzstdBegin(work: number, window: number, ring: number, size: number, hashed: boolean): void;
  unzstdRead(work: number, job: number, from: number, length: number): number;
  unzstdWrite(work: number, job: number): number;
  unzstdLength(job: number): number;
  hashEnd(work: number): number;
}

/** The exports of src/engine/wasm/index.ts. All addresses and lengths are unsigned 32-bit numbers. */
interface PageExports extends UnzstdExports {
  readonly memory: WebAssembly.Memory;
  /** First free byte of the memory. */
  readonly SCRATCH_END: WebAssembly.Global;
  init(): void;
  deflatePage(mode: number, data: number, length: number, out: number): number;
  deflateBatch(
    mode: number,
    pages: number,
    length: number,
    count: number,
    output: number,
    starts: number,
    lengths: number,
    zero: number,
    words: number,
  ): number;
  deflateBlocks(pages: number, length: number, count: number, out: number): number;
  inflatePage(data: number, length: number, out: number, size: number): number;
  /** Bytes of zstd's workspace. */
  readonly ZSTD_WORK: WebAssembly.Global;
  zstdBegin(work: number): void;
  zstdBlocks(work: number, data: number, length: number, out: number): number;
  inflatePart(data: number, length: number, out: number, size: number, history: number): number;
  inflateBatch(
    input: number,
    starts: number,
    lengths: number,
    count: number,
    pages: number,
    size: number,
    good: number,
  ): number;
  adler32Long(data: number, length: number): number;
  decodeLz4(input: number, length: number, out: number, history: number, room: number): number;
  decodeLzo1x(input: number, length: number, out: number, size: number): number;
  lzmaRing(base: number, size: number, most: number): void;
  lzmaWrap(out: number): number;
  lzmaReset(lc: number, lp: number, pb: number): void;
  lzmaBegin(from: number): number;
  lzmaDecode(to: number, limit: number, end: number): number;
  lzmaNext(): number;
  lzmaEnds(end: number): number;
  crc32Begin(): void;
  crc64Begin(): void;
  crc32(before: number, at: number, length: number): number;
  crc64(before: bigint, at: number, length: number): bigint;
}

/** Bytes of one WebAssembly memory page. */
const GRAIN = 65536;

/** One instance of the page engine and its memory. Regions are allocated and never freed. */
export class PageMemory {
  readonly exports: PageExports;
  private next: number;
  private view: Uint8Array<ArrayBuffer>;

  constructor(module: WebAssembly.Module) {
    this.exports = new WebAssembly.Instance(module, {}).exports as unknown as PageExports;
    this.exports.init();
    this.next = this.exports.SCRATCH_END.value as number;
    this.view = new Uint8Array(this.exports.memory.buffer);
  }

  /** The whole memory. Views become invalid when another region is allocated: get them from here every time. */
  get bytes(): Uint8Array<ArrayBuffer> {
    const { buffer } = this.exports.memory;
    if (this.view.buffer !== buffer) this.view = new Uint8Array(buffer);
    return this.view;
  }

  /** Allocates `length` bytes, aligned to 64. Returns the address. */
  allocate(length: number): number {
    const at = Math.ceil(this.next / 64) * 64;
    this.extend(at - this.next + length);
    return at;
  }

  /** Makes the last region longer. Errors: `RangeError`, where there is no memory. */
  extend(length: number): void {
    const missing = this.next + length - this.exports.memory.buffer.byteLength;
    if (missing > 0) this.exports.memory.grow(Math.ceil(missing / GRAIN));
    this.next += length;
  }
}
