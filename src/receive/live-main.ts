import { QevmError } from "../errors.js";
import { MemorySink, QemuFileWriter } from "../qemu-file/index.js";
import { encodeReturnMessage, StreamReader, type ReturnMessage, type StreamItem } from "../stream/index.js";
import { findVmDescription, parseVmDescription } from "../vmstate/index.js";
import { latin1 } from "../qemu-file/reader.js";
import { LiveSource } from "./live-source.js";

/** What of the main channel has been written down so far. */
export interface WrittenTail {
  readonly length: number;
  /** The last bytes, at most so many. */
  tail(most: number): Uint8Array;
}

export interface LiveOptions {
  /**
   * Sends SWITCHOVER_ACK when the setup is over: a source of 8.1 to 10.2 with the capability switchover-ack waits for it. The capability is not
   * on the wire, and 11.1 ends a migration in which nobody had to say it.
   */
  switchoverAck?: boolean | undefined;
}

/** How far from the end the VMDESCRIPTION is looked for. */
const TAIL = 32 << 20;

/**
 * Follows the main channel while it comes in and answers as a destination does, once the source has asked for a return path: PONG to every
 * PING, SHUT when the stream has ended.
 *
 * Source: QEMU migration/savevm.c loadvm_process_command, migration/migration.c migrate_send_rp_* (5.2 to 11.1).
 */
export class LiveMain {
  /** EOF was seen. */
  complete = false;
  /** The source asked for answers. */
  returnPath = false;
  /** What the stream ended with; undefined: as it should. */
  failure: unknown;
  readonly done: Promise<void>;
  private readonly source: LiveSource;
  /** Between the START and the footer of a RAM chunk nothing looks like an end. */
  private inRam = false;
  private packaged = false;
  private fed = 0;

  constructor(
    private readonly written: WrittenTail,
    private readonly answer: (bytes: Uint8Array) => void,
    private readonly options: LiveOptions = {},
  ) {
    this.source = new LiveSource(
      () => this.endsHere(),
      () => this.mayEndHere(),
    );
    this.done = this.follow();
  }

  /** Resolves when the bytes were looked at. They must have been written down before. */
  async feed(chunk: Uint8Array): Promise<void> {
    this.fed += chunk.length;
    await this.source.feed(chunk);
  }

  /** The connection has ended. */
  end(): void {
    this.source.finish();
  }

  private async follow(): Promise<void> {
    try {
      const reader = new StreamReader(this.source, { lenient: true });
      for await (const item of reader) {
        await this.item(item);
        // A postcopy migration has no VMDESCRIPTION to wait for.
        if (item.kind === "eof" && this.packaged) break;
      }
      this.complete = reader.complete;
      if (!this.complete)
        throw new QevmError("truncated", "the source hung up before its stream ended", { offset: reader.offset });
      this.say({ name: "SHUT", value: 0 });
    } catch (error) {
      this.failure = error;
      this.say({ name: "SHUT", value: 1 });
    } finally {
      this.source.finish();
    }
  }

  private async item(item: StreamItem): Promise<void> {
    if (item.kind === "section" && item.content.kind === "ram") {
      this.inRam = true;
      for await (const _ of item.records());
      this.inRam = false;
      if (item.type === "start" && this.options.switchoverAck === true) this.say({ name: "SWITCHOVER_ACK" });
    } else if (item.kind === "opaque" || item.kind === "trailing") {
      for await (const _ of item.chunks());
    } else if (item.kind === "command") {
      if (item.command.name === "OPEN_RETURN_PATH") this.returnPath = true;
      if (item.command.name === "PING") this.say({ name: "PONG", value: item.command.value });
      if (item.command.name === "PACKAGED") this.packaged = true;
    }
  }

  private say(message: ReturnMessage): void {
    if (!this.returnPath) return;
    const sink = new MemorySink();
    const writer = new QemuFileWriter(sink);
    encodeReturnMessage(writer, message);
    void writer.flush();
    this.answer(sink.bytes());
  }

  /** Everything that was written down was looked at. */
  private get caughtUp(): boolean {
    return this.fed === this.written.length;
  }

  /** Whether a whole VMDESCRIPTION is the last that has come. */
  private endsHere(): boolean {
    if (this.inRam || !this.caughtUp || this.written.tail(1)[0] !== 0x7d) return false;
    const bytes = this.written.tail(TAIL);
    for (const { start, length } of findVmDescription(bytes)) {
      if (start + length === bytes.length && isDescription(bytes.subarray(start))) return true;
    }
    return false;
  }

  /** Whether the bytes end with a footer and EOF, as a stream without VMDESCRIPTION does. */
  private mayEndHere(): boolean {
    const tail = this.written.tail(6);
    return !this.inRam && this.caughtUp && tail.length === 6 && tail[0] === 0x7e && tail[5] === 0;
  }
}

function isDescription(bytes: Uint8Array): boolean {
  try {
    parseVmDescription(latin1(bytes), { offset: 0 });
    return true;
  } catch (error) {
    if (error instanceof QevmError) return false;
    throw error;
  }
}
