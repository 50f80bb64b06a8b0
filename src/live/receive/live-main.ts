import { QevmError } from "../../bytes/errors.js";
import { MemorySink, QemuFileWriter } from "../../bytes/index.js";
import { PAGE_FLAGS } from "../../codec/ram/index.js";
import { encodeReturnMessage, StreamReader, type ReturnMessage, type StreamItem } from "../../codec/stream/index.js";
import { machineRelease, releaseNumber } from "../../guest/machines/index.js";
import { LiveSource } from "./live-source.js";
import { StreamEnd, type WrittenTail } from "./stream-end.js";

/** How the main channel of a live migration is read. */
export interface LiveOptions {
  /**
   * Sends SWITCHOVER_ACK after the setup: a source of a machine type up to 11.0 with the capability switchover-ack waits
   * for one, even without a device that has asked for it. The capability is not on the wire.
   */
  switchoverAck?: boolean | undefined;
}

/**
 * Parses the main channel while it arrives, and replies to PINGs like a destination once the source has opened a return
 * path. The final reply, SHUT, is sent by the caller after the recording is on disk.
 *
 * Source: QEMU migration/savevm.c loadvm_process_command, migration/migration.c migrate_send_rp_* (5.2 to 11.1).
 */
export class LiveMain {
  /** EOF was reached. */
  complete = false;
  /** The source opened a return path. */
  returnPath = false;
  /** The source may switch to postcopy. */
  postcopy = false;
  /** The error that ended the stream; undefined if there was none. */
  failure: unknown;
  readonly done: Promise<void>;
  private readonly source: LiveSource;
  private reader: StreamReader | undefined;
  private readonly streamEnd: StreamEnd;
  private packaged = false;
  private acked = false;
  private pages = false;

  constructor(
    written: WrittenTail,
    private readonly answer: (bytes: Uint8Array) => Promise<void>,
    private readonly options: LiveOptions = {},
  ) {
    this.streamEnd = new StreamEnd(written);
    this.source = new LiveSource(this.streamEnd);
    this.done = this.follow();
  }

  /** Resolves when the bytes were parsed. They must have been recorded before. */
  async feed(chunk: Uint8Array): Promise<void> {
    this.streamEnd.note(chunk.length);
    await this.source.feed(chunk);
  }

  /** The connection has ended. */
  end(): void {
    this.source.finish();
  }

  /** Target page size in bytes. */
  get pageSize(): number {
    return this.reader?.ram.pageSize ?? 4096;
  }

  /** Whether there is a RAMBlock of this name. */
  hasBlock(idstr: string): boolean {
    return this.reader?.ram.find(idstr) !== undefined;
  }

  private async follow(): Promise<void> {
    try {
      const reader = new StreamReader(this.source, { lenient: true });
      this.reader = reader;
      for await (const item of reader) {
        await this.item(item);
        // A postcopy migration has no VMDESCRIPTION to wait for.
        if (item.kind === "eof" && this.packaged) break;
      }
      this.complete = reader.complete;
      if (!this.complete)
        throw new QevmError("truncated", "the source closed before its stream ended", { offset: reader.offset });
    } catch (error) {
      this.failure = error;
    } finally {
      this.source.finish();
    }
  }

  private async item(item: StreamItem): Promise<void> {
    if (item.kind === "section" && item.content.kind === "ram") {
      this.streamEnd.inRam = true;
      for await (const batch of item.records()) {
        for (let i = 0; !this.pages && i < batch.count; i++) this.pages = (batch.flag[i]! & PAGE_FLAGS) !== 0;
      }
      this.streamEnd.inRam = false;
      if (item.type === "start" && this.options.switchoverAck === true && !this.acksEach) await this.acknowledge();
    } else if (item.kind === "section" && item.content.kind === "records") {
      for await (const record of item.content.entries()) {
        if (record.section !== "vfio" || record.kind !== "init-sent") continue;
        if (this.acksEach || !this.acked) await this.acknowledge();
      }
    } else if (item.kind === "opaque" || item.kind === "trailing") {
      for await (const _ of item.chunks());
    } else if (item.kind === "command") {
      if (item.command.name === "OPEN_RETURN_PATH") this.returnPath = true;
      if (item.command.name === "PING") await this.say({ name: "PONG", value: item.command.value });
      if (item.command.name === "POSTCOPY_ADVISE") this.postcopy = item.command.ram !== undefined;
      if (item.command.name === "PACKAGED") this.packaged = true;
    }
  }

  /**
   * From the machine types of 11.1 on, the source counts: every device asks for an acknowledgement by what it sends
   * (init-sent), and may ask again; one too many fails the migration. Before, the first one ends the wait
   * (migration property switchover-ack-legacy).
   */
  private get acksEach(): boolean {
    const release = releaseNumber(machineRelease(this.reader?.machine));
    return release !== undefined && release >= 1101;
  }

  /** Whether the guest has memory of which this channel has had nothing. */
  get lacksMemory(): boolean {
    if (this.reader === undefined) return false;
    const { ram, capabilities } = this.reader;
    return !this.pages && ram.blocks.length > 0 && !capabilities.includes("x-ignore-shared");
  }

  private async acknowledge(): Promise<void> {
    this.acked = true;
    await this.say({ name: "SWITCHOVER_ACK" });
  }

  private async say(message: ReturnMessage): Promise<void> {
    if (this.returnPath) await this.answer(returnBytes(message));
  }
}

/** The error of a source that keeps its memory, which is lost when it ends. */
export function withoutMemory(mode: string): QevmError {
  const what = `no page of the guest's memory is sent: mode ${mode} hands it over to a QEMU on the same host`;
  return new QevmError("unsupported", what, { expected: "mode normal or cpr-reboot" });
}

/** A message to the source in wire format. */
export function returnBytes(message: ReturnMessage): Uint8Array {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  encodeReturnMessage(writer, message);
  void writer.flush();
  return sink.bytes();
}
