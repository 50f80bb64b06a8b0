import type { ByteSink } from "../../bytes/source.js";
import type { WrittenMethod } from "../../codec/multifd/index.js";
import { RamFlag, type RecordWriter } from "../../codec/ram/index.js";
import { ChannelSet } from "../threads/channel-set.js";
import type { SharedMemory } from "../threads/compress-work.js";
import type { GuestBlock } from "./guest-memory.js";

/** Capability `multifd`: the pages go to these channels. */
export interface SaveMultifd {
  /** One for each of `multifd-channels`, in the order of their ids. They are not ended. */
  channels: readonly ByteSink[];
  /** `multifd-compression`. Default none. */
  method?: WrittenMethod | undefined;
  /** `multifd-zlib-level`, 0 to 9, or `multifd-zstd-level`, 1 to 20. Default 1. */
  level?: number | undefined;
  /** zlib: the bytes of QEMU's zlib; several times slower. Default false. */
  exact?: boolean | undefined;
  /** Threads that compress; default: one for each processor, at most one for each channel. */
  threads?: number | undefined;
  /** 16 bytes: the destination's UUID. Default: zeros, a VM without UUID. */
  uuid?: Uint8Array | undefined;
  /** The release that is to load them, as major * 100 + minor, 400 on; default 1000. From 900 on it takes zero pages. */
  release?: number | undefined;
  /**
   * Whether the main channel marks the ends of rounds with MULTIFD_FLUSH (from 8.1 on, and machine types from 8.1 on);
   * else each EOS is a mark. Default: by the release, and with `saveStream` by the machine type, too.
   */
  marks?: boolean | undefined;
}

/**
 * The multifd channels of a save, and their marks on the main channel.
 *
 * Source: QEMU migration/multifd-nocomp.c multifd_ram_flush_and_sync, migration/ram.c find_dirty_block,
 * ram_save_setup, ram_save_complete (10.0); ram_save_iterate (7.2).
 */
export class SaveChannels {
  /** Whether zero pages go to the channels. */
  readonly takesZero: boolean;
  private readonly marks: boolean;
  private dirty = false;

  private constructor(
    private readonly set: ChannelSet,
    { release = 1000, marks = release >= 801 }: SaveMultifd,
  ) {
    this.takesZero = release >= 900;
    this.marks = marks;
  }

  /** @param count is told what the pages of each packet were. Errors: usage, io, limit, and those of the sinks. */
  static async create(
    options: SaveMultifd,
    pageSize: number,
    blocks: readonly GuestBlock[],
    count: (normal: number, zero: number) => void,
  ): Promise<SaveChannels> {
    const { release = 1000 } = options;
    const memories = new Map<string, SharedMemory>();
    for (const { idstr, shared } of blocks) if (shared !== undefined) memories.set(idstr, shared);
    const found = { memories, findZero: release >= 900, onPacket: count };
    return new SaveChannels(await ChannelSet.create(options.channels, { ...options, pageSize, ...found }), options);
  }

  /** Whether a thread reads the page that `ready` was called for, and finds out whether it is zero. */
  get findsZero(): boolean {
    return this.set.findsZero;
  }

  /** Bytes written to all channels. */
  get bytes(): number {
    return this.set.bytes;
  }

  /** As `ChannelSet.ready`. */
  ready(idstr: string): Promise<void> | undefined {
    return this.set.ready(idstr);
  }

  /** The page is copied, or read later where its memory is shared. */
  page(block: GuestBlock, offset: number): void {
    if (this.set.reads) this.set.note(offset);
    else this.set.page(offset, block.page(offset));
    this.dirty = true;
  }

  zero(offset: number): void {
    this.set.zero(offset);
    this.dirty = true;
  }

  /** Before the EOS of START. */
  async start(wire: RecordWriter): Promise<void> {
    if (this.marks) await this.mark(wire);
  }

  /** At the end of a round, and before and after the pages of END: what follows is loaded after what came before. */
  async endRound(wire: RecordWriter): Promise<void> {
    if (this.marks && this.dirty) await this.mark(wire);
  }

  /** Before the EOS of a section. */
  async endSection(): Promise<void> {
    if (!this.marks) await this.sync();
  }

  async close(): Promise<void> {
    await this.set.close();
  }

  private async mark(wire: RecordWriter): Promise<void> {
    await this.sync();
    wire.mark(RamFlag.MULTIFD_FLUSH);
    // The destination's channels wait for the mark: pages that follow would fill their sockets.
    await wire.file.flush();
  }

  private async sync(): Promise<void> {
    await this.set.sync();
    this.dirty = false;
  }
}
