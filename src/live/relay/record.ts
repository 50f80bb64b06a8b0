import { QevmError } from "../../bytes/errors.js";
import { idle, type ChannelRole } from "../../io/recording/index.js";
import {
  IDLE,
  nextChunk,
  PacketCount,
  Recorder,
  sourceFailed,
  type Caller,
  type ChannelFact,
  type ChannelHead,
  type RecordingFacts,
} from "../receive/index.js";
import { textOf } from "../../io/transport/attempt.js";

/** Of nearly all targets; with another one packets are not counted. */
const PAGE_SIZE = 4096;

/** How a relay records the migration. */
export interface RecordOptions {
  /** An existing empty folder for a recording of everything that the source and the destination send. */
  record?: string | undefined;
  /**
   * Called when the disk has stored the whole recording, before the source is told that its guest is loaded. Moves the
   * recording to its name.
   */
  confirm?: () => void | Promise<void>;
  /**
   * Called where the migration failed, after what was received is in the folder as well as possible (`complete:
   * false`). Synchronous.
   */
  keep?: (reason: string) => void;
  /** Called once when recording stops because of an error (a full disk); the migration continues. */
  onBroken?: (error: QevmError) => void;
}

/**
 * The recording of a relay. A failure to record does not end the migration, because in postcopy that would lose the
 * guest. It is reported, and recording stops.
 */
export class RelayRecord {
  private readonly recorder: Recorder;
  private answers: ChannelHead | undefined;
  /** The recording has its name; later data is appended. */
  private confirmed = false;
  private settled = false;
  /** Of multifd channels, to tell those that are of nobody. */
  private readonly counts = new Map<PacketCount, ChannelHead>();
  /** The error that stopped recording. */
  private broken: QevmError | undefined;

  /** @param about facts about the migration for the recording's list */
  constructor(
    private readonly options: RecordOptions,
    private readonly about: () => Omit<RecordingFacts, "complete" | "reason">,
  ) {
    this.recorder = new Recorder(options.record);
  }

  /** The bytes of each channel so far. */
  get facts(): ChannelFact[] {
    return this.recorder.facts;
  }

  /** Whether the destination has sent anything. */
  get hasAnswers(): boolean {
    return this.answers !== undefined;
  }

  /** Opens a channel. Where it cannot be recorded, recording stops. */
  open(role: ChannelRole, id?: number): ChannelHead {
    try {
      return this.recorder.open(role, id);
    } catch (error) {
      this.breakOff(error);
      const channel = this.recorder.count(role, id);
      channel.reason = `it could not be recorded: ${textOf(error)}`;
      return channel;
    }
  }

  /** The chunks of a connection, recorded as they arrive. Errors: io. */
  async *through({ head, rest, role }: Caller, channel: ChannelHead): AsyncGenerator<Uint8Array> {
    const count = role === "multifd" && this.options.record !== undefined ? new PacketCount(PAGE_SIZE) : undefined;
    if (count !== undefined) this.counts.set(count, channel);
    try {
      for (let next: Uint8Array | undefined = head; next !== undefined; next = await nextChunk(rest).catch(rethrow)) {
        if (next.length === 0) continue;
        this.note(channel, next);
        await count?.feed(next);
        yield next;
      }
    } finally {
      count?.end();
    }
  }

  note(channel: ChannelHead, bytes: Uint8Array): void {
    if (this.broken !== undefined) return;
    try {
      this.recorder.note(channel, bytes);
    } catch (error) {
      this.breakOff(error);
    }
  }

  /** Records the destination's replies on the main channel. */
  answer(bytes: Uint8Array): void {
    this.answers ??= this.open("return-path");
    this.note(this.answers, bytes);
  }

  /**
   * Stores everything on disk and gives the recording its name. The destination has the guest already, so the source is
   * told even if this fails.
   */
  async confirm(): Promise<void> {
    if (this.confirmed || this.broken !== undefined) return;
    try {
      for (const count of idle([...this.counts.keys()])) this.recorder.drop(this.counts.get(count)!, IDLE);
      this.recorder.settle(this.list(true));
      await this.options.confirm?.();
      this.confirmed = true;
    } catch (error) {
      this.breakOff(error);
    }
  }

  /** The migration has succeeded. Errors: io, where the recording is not complete. */
  async settle(): Promise<void> {
    if (!this.confirmed) await this.confirm();
    else this.recorder.settle(this.list(true));
    if (this.broken !== undefined) {
      const what = `the destination has the guest, but the recording is not whole: ${this.broken.what}`;
      throw new QevmError(this.broken.code, what, { cause: this.broken });
    }
    this.settled = true;
  }

  /**
   * The migration has failed: keeps what was received as well as possible. Synchronous, and done once. What was confirmed
   * stays whole: the destination has loaded it.
   */
  fail(reason: string): void {
    if (this.settled) return;
    this.settled = true;
    try {
      if (this.confirmed && this.broken === undefined) {
        this.recorder.settle(this.list(true));
        return;
      }
      this.recorder.settle(this.list(false, reason));
    } catch {
      // The disk is full or broken: keep what is there.
    }
    if (!this.confirmed) this.options.keep?.(reason);
  }

  close(): void {
    this.recorder.close();
  }

  private breakOff(error: unknown): void {
    if (this.broken !== undefined) return;
    this.broken = error instanceof QevmError ? error : new QevmError("io", textOf(error), { cause: error });
    this.options.onBroken?.(this.broken);
  }

  private list(complete: boolean, reason?: string): RecordingFacts {
    return { ...this.about(), complete, ...(reason === undefined ? {} : { reason }) };
  }
}

function rethrow(error: unknown): never {
  throw sourceFailed(error);
}
