import {
  Z_DEFAULT_STRATEGY,
  Z_FINISH,
  Z_NEED_DICT,
  Z_OK,
  Z_STREAM_END,
  zlibDeflate,
  zlibDeflateInit2,
  zlibDeflateReset,
  zlibInflate,
  zlibInflateInit,
  zlibInflateReset,
  ZStream,
} from "pako";
import { QevmError } from "../bytes/errors.js";
import {
  checkOptions,
  checkPage,
  payloadBound,
  type DeflateBatch,
  type EngineOptions,
  type InflateBatch,
  type PageDeflater,
  type PageInflater,
} from "./page-engine.js";
import { giveInput, giveOutput } from "./pako-buffers.js";
import { PlainDeflateBatch, PlainInflateBatch } from "./plain-batch.js";

const DEFLATED = 8;
const WINDOW_BITS = 15;
const MEM_LEVEL = 8;
const LEGACY_HASH = true;

/**
 * The same bytes as C zlib 1.2.13 at every level, by pako with the classic hash (without it about half of all pages
 * differ). Plain JavaScript.
 */
export class ExactDeflater implements PageDeflater {
  readonly kind = "exact";
  readonly level: number;
  readonly pageSize: number;
  private readonly stream = new ZStream();
  private readonly output: Uint8Array<ArrayBuffer>;

  constructor(options: EngineOptions = {}) {
    const { level, pageSize } = checkOptions(options);
    this.level = level;
    this.pageSize = pageSize;
    this.output = new Uint8Array(payloadBound(pageSize));
    const status = zlibDeflateInit2(
      this.stream,
      level,
      DEFLATED,
      WINDOW_BITS,
      MEM_LEVEL,
      Z_DEFAULT_STRATEGY,
      LEGACY_HASH,
    );
    if (status !== Z_OK) throw new QevmError("usage", `pako refuses level ${level} (status ${status})`);
  }

  deflate(page: Uint8Array): Uint8Array {
    checkPage(page, this.pageSize);
    const { stream, output } = this;
    zlibDeflateReset(stream);
    giveInput(stream, page);
    giveOutput(stream, output);
    const status = zlibDeflate(stream, Z_FINISH);
    if (status !== Z_STREAM_END) throw new QevmError("does-not-fit", `pako cannot deflate the page (status ${status})`);
    return output.subarray(0, stream.next_out);
  }

  batch(capacity: number): DeflateBatch {
    return new PlainDeflateBatch(this, capacity);
  }
}

/** Strict inflation of one page by pako. It also makes the error messages for all engines. */
export class ExactInflater implements PageInflater {
  readonly kind = "exact";
  readonly pageSize: number;
  produced = 0;
  private readonly stream = new ZStream();
  private readonly spare = new Uint8Array(1);

  constructor(options: EngineOptions = {}) {
    this.pageSize = checkOptions(options).pageSize;
    zlibInflateInit(this.stream);
  }

  inflate(payload: Uint8Array, into: Uint8Array): void {
    checkPage(into, this.pageSize);
    const { stream } = this;
    zlibInflateReset(stream);
    stream.msg = "";
    giveInput(stream, payload);
    giveOutput(stream, into);
    const status = zlibInflate(stream, Z_FINISH);
    this.produced = stream.next_out;
    if (status === Z_STREAM_END && stream.avail_in === 0 && this.produced === this.pageSize) return;
    throw this.refusal(status);
  }

  batch(capacity: number): InflateBatch {
    return new PlainInflateBatch(this, capacity);
  }

  /** Describes what is wrong with the payload in `stream`, which stopped with `status`. */
  private refusal(status: number): QevmError {
    const { stream, pageSize } = this;
    const used = stream.next_in;
    if (status === Z_STREAM_END) {
      if (this.produced < pageSize) {
        return refuse(`the zlib stream is whole but holds less than a page: ${this.inflated}`);
      }
      return refuse(`${plural(stream.avail_in, "trailing byte")} after the zlib stream of ${plural(used, "byte")}`);
    }
    if (status === Z_NEED_DICT) return refuse("the zlib stream asks for a preset dictionary");
    const damage = this.damage();
    if (damage !== undefined) return damage;
    if (this.produced === pageSize) {
      // The page is full. One spare output byte distinguishes a stream that is too long from one whose end is missing.
      giveOutput(stream, this.spare);
      zlibInflate(stream, Z_FINISH);
      if (stream.next_out > 0) return refuse(`longer than a page of ${count(pageSize)} bytes`);
      const later = this.damage();
      if (later !== undefined) return later;
      return refuse(`ends early: all ${count(pageSize)} bytes inflated, but the end of the zlib stream is missing`);
    }
    return refuse(`ends early: ${this.inflated}`);
  }

  /** zlib's own message, if it has one: "invalid distance too far back", "incorrect data check", ... */
  private damage(): QevmError | undefined {
    const { msg, next_in } = this.stream;
    return msg === "" ? undefined : refuse(`damaged (${msg}) after ${plural(next_in, "byte")}: ${this.inflated}`);
  }

  private get inflated(): string {
    return `inflated ${count(this.produced)} of ${count(this.pageSize)} bytes`;
  }
}

function refuse(what: string): QevmError {
  return new QevmError("bad-compressed-data", what);
}

/** 3810 as "3,810". */
function count(n: number): string {
  return String(n).replace(/\B(?=(\d{3})+$)/g, ",");
}

function plural(n: number, thing: string): string {
  return `${count(n)} ${thing}${n === 1 ? "" : "s"}`;
}
