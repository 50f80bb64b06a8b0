import { RamFlag, type RecordWriter } from "../../codec/ram/index.js";
import { encodeXbzrle, XBZRLE_OVERFLOW } from "../../codec/ram/xbzrle.js";
import type { CompressedBatch, CompressThreads } from "../threads/compress-threads.js";
import type { GuestBlock } from "./guest-memory.js";
import type { PageCache } from "./page-cache.js";
import type { SaveChannels } from "./save-channels.js";
import type { MigrationStatistics } from "./statistics.js";

/**
 * Called first for every page (QEMU's control_save_page). True: the hook has handled the page; false: send it in the
 * stream.
 */
export type SavePageHook = (block: GuestBlock, offset: number, page: Uint8Array) => boolean;

/** The parts of a strategy; omitted parts are off. */
interface StrategyParts {
  hook?: SavePageHook | undefined;
  threads?: CompressThreads<GuestBlock> | undefined;
  cache?: PageCache | undefined;
  channels?: SaveChannels | undefined;
}

/** Decides how each page is encoded, in one place and a fixed order. */
export class PageStrategy {
  /** XBZRLE starts after the first round, and compression ends there when both are on (QEMU until 8.1). */
  firstRound = true;
  /** In the last stage no later round needs the cache, so it is not updated. */
  lastStage = false;
  /** Number of dirty-bitmap syncs so far: the age of cache entries. */
  generation = 0;
  private block: GuestBlock | undefined;
  private readonly copy: Uint8Array;
  private readonly delta: Uint8Array;
  private readonly addresses = new Map<GuestBlock, number>();

  constructor(
    protected readonly wire: RecordWriter,
    protected readonly parts: StrategyParts,
    protected readonly statistics: MigrationStatistics,
    blocks: readonly GuestBlock[],
    pageSize: number,
  ) {
    this.copy = new Uint8Array(pageSize);
    this.delta = new Uint8Array(pageSize);
    let base = 0;
    for (const block of blocks) {
      this.addresses.set(block, base);
      base += block.usedLength;
    }
  }

  /** Sends one page, as the first that applies: hook, zero, multifd (whose threads look for zero themselves), compress, xbzrle, normal. */
  save(block: GuestBlock, offset: number): void {
    if (this.takenByHook(block, offset)) return;
    if (this.passToThread(block, offset)) return;
    if (this.saveZero(block, offset)) return;
    if (this.passToChannel(block, offset)) return;
    if (this.compress(block, offset)) return;
    if (this.saveXbzrle(block, offset)) return;
    this.saveNormal(block, offset, block.page(offset));
  }

  /** Writes the records of a compress thread. */
  finished({ tag, count, records, lengths, zero }: CompressedBatch<GuestBlock>): void {
    const { ram, compression } = this.statistics;
    for (let i = 0; i < count; i++) {
      if (zero[i] === 1) {
        ram.duplicate++;
      } else {
        compression.pages++;
        compression["compressed-size"] += lengths[i]! - 8;
      }
    }
    this.wire.finished(tag, records);
  }

  private takenByHook(block: GuestBlock, offset: number): boolean {
    const { hook, cache } = this.parts;
    if (hook === undefined || !hook(block, offset, block.page(offset))) return false;
    cache?.forget(this.address(block, offset));
    return true;
  }

  private saveZero(block: GuestBlock, offset: number): boolean {
    if (!block.isZero(offset)) return false;
    const { channels } = this.parts;
    if (channels?.takesZero === true) {
      channels.zero(offset);
      return true;
    }
    this.statistics.ram.duplicate++;
    this.wire.zero(block, offset);
    if (this.caching && !this.lastStage) {
      this.parts.cache?.insert(this.address(block, offset), this.copy.fill(0), this.generation);
    }
    return true;
  }

  /** A channel's thread finds out whether the page is zero (QEMU from 9.0 on). */
  private passToThread(block: GuestBlock, offset: number): boolean {
    const { channels } = this.parts;
    if (channels?.findsZero !== true) return false;
    channels.page(block, offset);
    return true;
  }

  /** Pages of channels are counted when their packet is made. */
  private passToChannel(block: GuestBlock, offset: number): boolean {
    const { channels } = this.parts;
    if (channels === undefined) return false;
    channels.page(block, offset);
    return true;
  }

  /**
   * Passes the page to a thread. The first page of another block is sent uncompressed with the block name, so nothing
   * is compressed in this thread. With `compress-wait-thread` off, a page is also sent uncompressed where no thread is
   * idle.
   */
  protected compress(block: GuestBlock, offset: number): boolean {
    const { threads, cache } = this.parts;
    if (threads === undefined || (cache !== undefined && !this.firstRound)) return false;
    if (this.block !== block) {
      this.block = block;
      return false;
    }
    const { shared } = block;
    const taken =
      shared === undefined
        ? threads.add(block, offset, block.page(offset))
        : threads.addShared(block, block.index, offset);
    if (!taken) this.statistics.compression.busy++;
    return taken;
  }

  /** Sends and compares the cached copy, never the page itself, which the guest may write in between. */
  private saveXbzrle(block: GuestBlock, offset: number): boolean {
    const { cache } = this.parts;
    if (cache === undefined || !this.caching) return false;
    const figures = this.statistics["xbzrle-cache"];
    const address = this.address(block, offset);
    const old = cache.lookup(address, this.generation);
    this.copy.set(block.page(offset));
    if (old === undefined) {
      figures["cache-miss"]++;
      if (!this.lastStage) cache.insert(address, this.copy, this.generation);
      this.saveNormal(block, offset, this.copy);
      return true;
    }
    const length = encodeXbzrle(old, this.copy, this.delta);
    if (length === 0) return true;
    if (length === XBZRLE_OVERFLOW) {
      figures.overflow++;
      this.saveNormal(block, offset, this.copy);
    } else {
      figures.pages++;
      figures.bytes += length + 3;
      this.wire.page(RamFlag.XBZRLE, block, offset, this.delta.subarray(0, length));
    }
    if (!this.lastStage) old.set(this.copy);
    return true;
  }

  protected saveNormal(block: GuestBlock, offset: number, page: Uint8Array): void {
    const { ram } = this.statistics;
    ram.normal++;
    ram["normal-bytes"] += page.length;
    this.wire.page(RamFlag.PAGE, block, offset, page);
  }

  private get caching(): boolean {
    return this.parts.cache !== undefined && !this.firstRound;
  }

  private address(block: GuestBlock, offset: number): number {
    return this.addresses.get(block)! + offset;
  }
}
