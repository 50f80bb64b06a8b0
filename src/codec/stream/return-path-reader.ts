import { Diagnostics, QevmError } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/reader.js";
import type { ByteSource } from "../../bytes/source.js";
import { BITMAP_END, decodeReturnMessage, type ReturnMessage } from "./return-path.js";

/** One message and its offset. */
export interface ReturnPathItem {
  /** Absolute offset of its first byte. */
  offset: number;
  message: ReturnMessage;
  /** REQ_PAGES: the block that is meant, named here or by an earlier message. */
  block?: string | undefined;
}

/** What a return path relies on of its main stream, and how it is read. */
export interface ReturnPathOptions {
  /** Pass over anomalies as warnings. Default: refuse them. */
  lenient?: boolean | undefined;
  /** Target page size in bytes. Default 4096. */
  pageSize?: number | undefined;
  /** The blocks of the main channel by name; with it names, places and bitmaps are checked. */
  block?: ((idstr: string) => { readonly usedLength: number } | undefined) | undefined;
  /** Bytes asked of the source at a time. */
  bufferSize?: number | undefined;
}

/**
 * Walks what a destination sends back, message by message, and refuses what a source would: pages of no block or
 * outside it, a bitmap of another size or without its end mark, an invalid acknowledgement, anything after SHUT. Memory
 * is bounded by the largest bitmap.
 *
 * Source: QEMU migration/migration.c source_return_path_thread, migration/ram.c ram_dirty_bitmap_reload (5.2 to 11.1).
 */
export class ReturnPathReader implements AsyncIterable<ReturnPathItem> {
  readonly diagnostics: Diagnostics;
  private readonly reader: QemuFileReader;
  private readonly pageSize: number;
  private messages = 0;
  /** Of the last REQ_PAGES that named one. */
  private lastBlock: string | undefined;
  private shut = false;

  constructor(
    source: ByteSource,
    private readonly options: ReturnPathOptions = {},
  ) {
    this.diagnostics = new Diagnostics({ lenient: options.lenient ?? false });
    this.reader = new QemuFileReader(source, { bufferSize: options.bufferSize ?? 1 << 12 });
    this.pageSize = options.pageSize ?? 4096;
  }

  /** Absolute offset of the next byte. */
  get offset(): number {
    return this.reader.offset;
  }

  /** Lenient: a return path that is cut off ends with a warning. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ReturnPathItem> {
    const { reader, diagnostics } = this;
    const depth = reader.path.length;
    try {
      for (;;) {
        reader.path[depth] = `message ${this.messages++}`;
        const { offset } = reader;
        const message = await decodeReturnMessage(reader);
        if (message === undefined) break;
        if (this.shut) this.odd("bad-value", "a message after SHUT", { offset, found: message.name });
        this.check(message, offset);
        yield message.name === "REQ_PAGES" ? { offset, message, block: this.lastBlock } : { offset, message };
      }
    } catch (error) {
      if (!diagnostics.lenient || !(error instanceof QevmError) || error.code !== "truncated") throw error;
      diagnostics.passOver(error);
    }
    reader.path.length = depth;
  }

  private check(message: ReturnMessage, offset: number): void {
    switch (message.name) {
      case "SHUT":
        this.shut = true;
        break;
      case "RESUME_ACK":
        if (message.value !== 1) {
          this.odd("bad-value", "RESUME_ACK", { offset: offset + 4, expected: "1", found: `${message.value}` });
        }
        break;
      case "REQ_PAGES":
        this.pages(message, offset);
        break;
      case "RECV_BITMAP":
        this.bitmap(message);
        break;
      default:
    }
  }

  private pages({ block, start, length }: Extract<ReturnMessage, { name: "REQ_PAGES" }>, offset: number): void {
    if (block !== undefined) this.lastBlock = block;
    else if (this.lastBlock === undefined) {
      this.odd("unknown-reference", "REQ_PAGES before any that names its block", { offset });
    }
    const { pageSize } = this;
    if (start % pageSize !== 0 || length % pageSize !== 0 || length === 0) {
      const found = `${length} bytes from 0x${start.toString(16)}`;
      this.odd("bad-offset", "pages that are asked for", { offset: offset + 4, expected: "whole pages", found });
    }
    const known = this.known(this.lastBlock, offset);
    if (known !== undefined && start + length > known.usedLength) {
      const expected = `at most ${known.usedLength} bytes`;
      this.odd("bad-offset", `pages of RAM block ${JSON.stringify(this.lastBlock)}`, {
        offset: offset + 4,
        expected,
        found: `${start + length}`,
      });
    }
  }

  private bitmap({ block, bitmap, end }: Extract<ReturnMessage, { name: "RECV_BITMAP" }>): void {
    const at = this.reader.offset - 8 - bitmap.length;
    const known = this.known(block, at);
    if (known !== undefined) {
      const size = 8 * Math.ceil(known.usedLength / this.pageSize / 64);
      if (size !== bitmap.length) {
        const what = `bitmap of RAM block ${JSON.stringify(block)}`;
        this.odd("bad-length", what, { offset: at - 8, expected: `${size} bytes`, found: `${bitmap.length}` });
      }
    }
    if (end === BITMAP_END) return;
    const place = { offset: at + bitmap.length, expected: hex64(BITMAP_END), found: hex64(end) };
    this.odd("bad-magic", "end mark of a bitmap", place);
  }

  private known(name: string | undefined, offset: number): { readonly usedLength: number } | undefined {
    const { block } = this.options;
    if (block === undefined || name === undefined) return undefined;
    const found = block(name);
    if (found === undefined) {
      this.odd("unknown-reference", "a RAM block that is not there", { offset, found: JSON.stringify(name) });
    }
    return found;
  }

  private odd(
    code: QevmError["code"],
    what: string,
    place: { offset: number; expected?: string; found?: string },
  ): void {
    this.diagnostics.anomaly(this.reader.error(code, what, place));
  }
}

/** A message as plain values, which JSON can hold. Of a bitmap: its length and how many pages it says have arrived. */
export function returnMessageToPlain(message: ReturnMessage): Record<string, string | number> & { name: string } {
  if (message.name !== "RECV_BITMAP") return { ...message };
  let received = 0;
  for (const byte of message.bitmap) for (let rest = byte; rest > 0; rest &= rest - 1) received++;
  return { name: message.name, block: message.block, bytes: message.bitmap.length, received };
}

function hex64(value: bigint): string {
  return `0x${value.toString(16).padStart(16, "0")}`;
}
