import { QevmError } from "../errors.js";
import { MemorySource } from "../qemu-file/index.js";
import { RamFlag, type RamBatch } from "../ram/index.js";
import { StreamReader, type SectionItem, type StreamItem, type StreamOptions } from "../stream/index.js";

/** What a part of a stream is; damage is aimed by it. */
export type PartKind =
  | "header"
  | "configuration"
  | "section"
  | "blocks"
  | "record"
  | "area"
  | "device"
  | "footer"
  | "command"
  | "eof"
  | "description"
  | "rest";

/** A stretch of a stream that one field table describes. Parts laid end to end are the stream. */
export interface Part {
  readonly kind: PartKind;
  readonly bytes: Uint8Array;
  /** Section, block or command that it belongs to, for people. */
  readonly name: string;
  /** record: the flag without CONTINUE; others: 0. */
  readonly flag: number;
}

/** A stream taken apart at the borders that our decoder sees. */
export interface Parts {
  readonly list: readonly Part[];
  /** Target page size in bytes. */
  readonly pageSize: number;
  /** Names of the RAM blocks. */
  readonly blocks: readonly string[];
  readonly footers: boolean;
  readonly bytes: Uint8Array;
}

interface Border {
  offset: number;
  kind: PartKind;
  name: string;
  flag: number;
}

/**
 * Takes a stream apart. What cannot be decoded (a container, a damaged stream from its fault on) is one part "rest", so that any
 * bytes at all can be a base.
 */
export async function takeApart(input: Uint8Array, options: StreamOptions = {}): Promise<Parts> {
  // A Buffer's `slice` shares its bytes, which must not be written to.
  const bytes = new Uint8Array(input.buffer, input.byteOffset, input.length);
  const reader = new StreamReader(new MemorySource(bytes), { ...options, lenient: true });
  const borders = new Borders();
  try {
    for await (const item of reader) await borders.item(item);
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    borders.at(error.offset ?? 0, "rest", "");
  }
  return {
    list: borders.parts(bytes),
    pageSize: reader.ram.pageSize,
    blocks: reader.ram.blocks.map(({ idstr }) => idstr),
    footers: reader.footers !== false,
    bytes,
  };
}

/** Lays parts end to end. */
export function join(list: readonly Part[]): Uint8Array {
  let length = 0;
  for (const { bytes } of list) length += bytes.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const { bytes } of list) {
    all.set(bytes, at);
    at += bytes.length;
  }
  return all;
}

/** Where each part begins. */
class Borders {
  private readonly list: Border[] = [];

  at(offset: number, kind: PartKind, name: string, flag = 0): void {
    this.list.push({ offset, kind, name, flag });
  }

  async item(item: StreamItem): Promise<void> {
    switch (item.kind) {
      case "section":
        await this.section(item);
        break;
      case "vmdescription":
        this.at(item.offset, "description", "VMDESCRIPTION");
        break;
      case "opaque":
      case "trailing":
        this.at(item.offset, "rest", "");
        break;
      case "command":
        this.at(item.offset, "command", item.name);
        break;
      case "package-end":
        // Where a package ends, no byte stands.
        break;
      default:
        this.at(item.offset, item.kind, "");
    }
  }

  parts(bytes: Uint8Array): Part[] {
    const parts: Part[] = [];
    const sorted = this.list.filter(({ offset }) => offset <= bytes.length).toSorted((a, b) => a.offset - b.offset);
    if (sorted.length === 0 || sorted[0]!.offset > 0) sorted.unshift({ offset: 0, kind: "rest", name: "", flag: 0 });
    for (let i = 0; i < sorted.length; i++) {
      const { offset, kind, name, flag } = sorted[i]!;
      const end = sorted[i + 1]?.offset ?? bytes.length;
      if (end > offset) parts.push({ kind, name, flag, bytes: bytes.subarray(offset, end) });
    }
    return parts;
  }

  private async section(item: SectionItem): Promise<void> {
    const full = item.type === "start" || item.type === "full";
    this.at(item.offset, "section", item.idstr);
    const body = item.offset + (full ? 14 + item.idstr.length : 5);
    if (item.content.kind === "records") {
      for await (const { offset } of item.content.entries()) this.at(offset, "device", item.idstr);
      return;
    }
    if (item.content.kind !== "ram") {
      this.at(body, "device", item.idstr);
      return;
    }
    if (item.idstr !== "ram") return;
    for await (const batch of item.records()) this.batch(batch, body);
  }

  private batch(batch: RamBatch, body: number): void {
    if (batch.blockList !== undefined) {
      this.at(batch.position[0] ?? body, "blocks", "block list", RamFlag.MEM_SIZE);
      return;
    }
    if (batch.area) {
      const page = batch.count > 1 ? batch.position[1]! - batch.position[0]! : 4096;
      for (let i = 0; i < batch.count; i++) this.at(batch.position[i]!, "area", batch.block[i]!.idstr, batch.flag[i]);
      // The next block's entry of a mapped-ram list, or what follows the list.
      if (batch.count > 0) this.at(batch.position[batch.count - 1]! + page, "blocks", "block list", RamFlag.MEM_SIZE);
      return;
    }
    for (let i = 0; i < batch.count; i++) {
      this.at(batch.position[i]!, "record", batch.block[i]?.idstr ?? "", batch.flag[i]);
    }
  }
}
