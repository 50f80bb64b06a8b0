import { QevmError } from "../../bytes/errors.js";
import { Recorder, type ChannelFact, type ChannelHead, type RecordingFacts } from "../receive/index.js";
import type { ChannelRole } from "../../io/recording/index.js";
import { textOf } from "../../io/transport/attempt.js";

/** How a relay writes down what passes. */
export interface RecordOptions {
  /** A folder that exists and is empty: what the source sent and the destination answered is written down there, as a recording. */
  record?: string | undefined;
  /** Called when the disk has the whole recording, before the source hears that its guest is loaded. Gives it its name. */
  confirm?: () => void | Promise<void>;
  /** Called where the migration failed, when what came is in the folder as well as it can be (`complete: false`). Synchronous. */
  keep?: (reason: string) => void;
  /** Called once when nothing more can be written down (the disk is full); the migration goes on. */
  onBroken?: (error: QevmError) => void;
}

/**
 * What a relay writes down. A recording that cannot be written does not end the migration: in postcopy that would be the
 * end of the guest. It is told, and nothing more is written.
 */
export class RelayRecord {
  private readonly recorder: Recorder;
  private answers: ChannelHead | undefined;
  /** The recording has its name; what comes then is added. */
  private confirmed = false;
  private settled = false;
  /** Why nothing more is written down. */
  private broken: QevmError | undefined;

  /** @param about what the recording's list says of the migration */
  constructor(
    private readonly options: RecordOptions,
    private readonly about: () => Omit<RecordingFacts, "complete" | "reason">,
  ) {
    this.recorder = new Recorder(options.record);
  }

  /** What came over each channel so far. */
  get facts(): ChannelFact[] {
    return this.recorder.facts;
  }

  /** Whether the destination said anything. */
  get hasAnswers(): boolean {
    return this.answers !== undefined;
  }

  /** A channel from now on. Errors: io. */
  open(role: ChannelRole, id?: number): ChannelHead {
    return this.recorder.open(role, id);
  }

  note(channel: ChannelHead, bytes: Uint8Array): void {
    if (this.broken !== undefined) return;
    try {
      this.recorder.note(channel, bytes);
    } catch (error) {
      this.breakOff(error);
    }
  }

  /** What the destination says on the main channel. */
  answer(bytes: Uint8Array): void {
    try {
      this.answers ??= this.recorder.open("return-path");
      this.note(this.answers, bytes);
    } catch (error) {
      this.breakOff(error);
    }
  }

  /** The disk has all, and the recording its name. The destination has the guest: where this fails, the source is told all the same. */
  async confirm(): Promise<void> {
    if (this.confirmed || this.broken !== undefined) return;
    try {
      this.recorder.settle(this.list(true));
      await this.options.confirm?.();
      this.confirmed = true;
    } catch (error) {
      this.breakOff(error);
    }
  }

  /** The migration went through. Errors: io, where the recording is not whole. */
  async settle(): Promise<void> {
    if (!this.confirmed) await this.confirm();
    else this.recorder.settle(this.list(true));
    if (this.broken !== undefined) {
      const what = `the destination has the guest, but the recording is not whole: ${this.broken.what}`;
      throw new QevmError(this.broken.code, what, { cause: this.broken });
    }
    this.settled = true;
  }

  /** The migration failed: makes the best of what came. Synchronous, and once. */
  fail(reason: string): void {
    if (this.settled) return;
    this.settled = true;
    try {
      this.recorder.settle(this.list(false, reason));
    } catch {
      // The disk is full or broken: what is there is kept.
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
