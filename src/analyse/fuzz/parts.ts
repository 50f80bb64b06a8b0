import { QevmError } from "../../bytes/errors.js";
import { ChannelReader, type ChannelItem } from "../../codec/multifd/index.js";
import { MemorySource } from "../../bytes/index.js";
import { RamFlag, type RamBatch } from "../../codec/ram/index.js";
import { roleOf, ROLE_BYTES } from "../../io/recording/index.js";
import { StreamReader, type SectionItem, type StreamItem, type StreamOptions } from "../../codec/stream/index.js";

import { ReturnPathReader } from "../../codec/stream/return-path-reader.js";
import { bundle, unbundle, type BundledFile } from "./bundle.js";
import { concat } from "./raw-bytes.js";

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
  /** Of a multifd channel: its first packet, the head of a later one, what follows the head. */
  | "init"
  | "packet"
  | "payload"
  /** Of a return path. */
  | "message"
  | "rest";

/** A stretch of a stream that one field table describes. Parts laid end to end are the stream. */
export interface Part {
  readonly kind: PartKind;
  readonly bytes: Uint8Array;
  /** Section, block or command that it belongs to, for people. */
  readonly name: string;
  /** record: the flag without CONTINUE; others: 0. */
  readonly flag: number;
  /** In a recording: the file that it is of. */
  readonly file?: string | undefined;
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
 * Takes a stream apart. What cannot be decoded (a container, a damaged stream from its fault on) is one part "rest", so
 * that any bytes at all can be a base.
 */
export async function takeApart(input: Uint8Array, options: StreamOptions = {}): Promise<Parts> {
  // A Buffer's `slice` shares its bytes, which must not be written to.
  const bytes = new Uint8Array(input.buffer, input.byteOffset, input.length);
  const files = unbundle(bytes);
  return files === undefined ? await takeStreamApart(bytes, options) : await takeRecordingApart(bytes, files, options);
}

async function takeStreamApart(bytes: Uint8Array, options: StreamOptions): Promise<Parts> {
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

/** Each file by its role; the parts know their files. */
async function takeRecordingApart(
  bytes: Uint8Array,
  files: readonly BundledFile[],
  options: StreamOptions,
): Promise<Parts> {
  const list: Part[] = [];
  let { pageSize, blocks, footers } = NOTHING;
  for (const file of files) {
    const parts = await takeFileApart(file.bytes, options);
    // A Work may remove all parts of a file; an empty one keeps the file.
    list.push({ kind: "rest", name: "", flag: 0, bytes: new Uint8Array(0), file: file.name });
    for (const part of parts.list) list.push({ ...part, file: file.name });
    if (parts.blocks.length > 0) ({ pageSize, blocks, footers } = parts);
  }
  return { list, pageSize, blocks, footers, bytes };
}

/** What a channel other than the main one does not contain. */
const NOTHING: Pick<Parts, "pageSize" | "blocks" | "footers"> = { pageSize: 4096, blocks: [], footers: true };

async function takeFileApart(
  bytes: Uint8Array,
  options: StreamOptions,
): Promise<Pick<Parts, "list" | "pageSize" | "blocks" | "footers">> {
  const role = roleOf(bytes.subarray(0, ROLE_BYTES));
  if (role === "main") return await takeStreamApart(bytes, options);
  const borders = new Borders();
  try {
    if (role === "multifd") {
      for await (const item of new ChannelReader(new MemorySource(bytes), { lenient: true })) borders.packet(item);
    } else if (role === "return-path") {
      const messages = new ReturnPathReader(new MemorySource(bytes), { lenient: true });
      for await (const { offset, message } of messages) borders.at(offset, "message", message.name);
    }
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    borders.at(error.offset ?? 0, "rest", "");
  }
  return { ...NOTHING, list: borders.parts(bytes) };
}

/** Lays parts end to end; those of a recording become a bundle again. */
export function join(list: readonly Part[]): Uint8Array {
  const files = new Map<string, Uint8Array[]>();
  for (const { file, bytes } of list) {
    if (file === undefined) continue;
    const pieces = files.get(file);
    if (pieces === undefined) files.set(file, [bytes]);
    else pieces.push(bytes);
  }
  if (files.size > 0) return bundle([...files].map(([name, pieces]) => ({ name, bytes: concat(...pieces) })));
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

  packet(item: ChannelItem): void {
    if (item.kind === "init") return this.at(item.offset, "init", "");
    this.at(item.offset, "packet", item.packet.idstr);
    if (item.payload.length > 0) this.at(item.payloadOffset, "payload", item.packet.idstr);
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
        // The end of a package has no byte of its own.
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
    this.at(item.offset, "section", item.idstr);
    if (item.content.kind === "records") {
      for await (const { offset } of item.content.entries()) this.at(offset, "device", item.idstr);
      return;
    }
    if (item.content.kind !== "ram") {
      this.at(item.payloadOffset, "device", item.idstr);
      return;
    }
    if (item.idstr !== "ram") return;
    for await (const batch of item.records()) this.batch(batch, item.payloadOffset);
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
