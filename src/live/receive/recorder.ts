import { closeSync, fsyncSync, openSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { QevmError } from "../../bytes/errors.js";
import type { ChannelRole } from "../../io/recording/index.js";
import { attempt, textOf } from "../../io/transport/attempt.js";
import type { TlsFacts } from "../../io/transport/tls/listener.js";
import { ChannelFile, ChannelHead, Sequence } from "./channel-files.js";
import type { Refused } from "../../io/transport/connection.js";
import { TimelineFile } from "./timeline-file.js";

/** A channel in reports. */
export interface ChannelFact {
  file: string;
  role: ChannelRole;
  channelLength: number;
  /** Everything that belongs to the channel has arrived. */
  complete: boolean;
  /** Why not everything has. */
  reason?: string;
}

/** The facts at the end of a recording's list. */
export interface RecordingFacts {
  /** Every byte of the migration was recorded. */
  complete: boolean;
  /** Reason where it is not complete. */
  reason?: string | undefined;
  /** Connections that did not belong to this migration, and the number of further ones. */
  refused?: readonly Refused[] | undefined;
  refusedMore?: number | undefined;
  /** The URI where it was received, and where it was relayed to. */
  received?: string | undefined;
  sent?: string | undefined;
  /** How the source's main channel was encrypted; null: it was not. The recording is in the clear. */
  tls?: TlsFacts | null;
}

/** Bytes reserved for the list of a recording in case the disk becomes full. */
const RESERVE = 1 << 18;

/** Writes the channels of a migration into an existing empty folder, or only counts their bytes. */
export class Recorder {
  private readonly channels: ChannelHead[] = [];
  private readonly dropped = new Map<ChannelHead, string>();
  private readonly names = new Set<string>();
  private readonly sequence: Sequence | undefined;
  private readonly timeline: TimelineFile | undefined;
  /** The migration has succeeded, so that every channel is whole. */
  private complete = false;
  private readonly reserve: string | undefined;
  /** Descriptor of the folder, which may be renamed later. */
  private fd: number | undefined;

  /** Errors: io. */
  constructor(private readonly folder: string | undefined) {
    if (folder === undefined) return;
    this.reserve = join(folder, ".reserve");
    attempt(folder, () => writeFileSync(this.reserve!, Buffer.alloc(RESERVE), { mode: 0o600 }));
    this.sequence = new Sequence(folder, "recording.json");
    this.timeline = new TimelineFile(folder);
    this.fd = attempt(folder, () => openSync(folder, "r"));
  }

  /** Opens a new channel; `id` is a multifd channel's id. Errors: io. */
  open(role: ChannelRole, id?: number): ChannelHead {
    if (this.folder === undefined) return this.count(role, id);
    const file = this.nameFor(role, id);
    return this.add(new ChannelFile(this.folder, file, role));
  }

  /** A channel of which only the bytes are counted. */
  count(role: ChannelRole, id?: number): ChannelHead {
    return this.add(new ChannelHead(this.nameFor(role, id), role));
  }

  private nameFor(role: ChannelRole, id: number | undefined): string {
    const stem = role === "multifd" ? `multifd-${id}` : role;
    let file = `${stem}.bin`;
    for (let k = 1; this.names.has(file); k++) file = `${stem}-${k}.bin`;
    return file;
  }

  private add<T extends ChannelHead>(channel: T): T {
    this.names.add(channel.file);
    this.channels.push(channel);
    return channel;
  }

  /** Records the bytes of a channel. Errors: io. */
  note(channel: ChannelHead, bytes: Uint8Array): void {
    if (this.dropped.has(channel)) return;
    if (bytes.length === 0) return;
    const { length } = channel;
    try {
      channel.write(bytes);
      // What was written is in both lists, even where there is no space for them now.
      try {
        this.sequence?.add(this.channels.indexOf(channel), length, bytes.length);
      } finally {
        this.timeline?.add(channel.file, length, bytes.length);
      }
    } catch (error) {
      channel.reason ??= textOf(error);
      throw error;
    }
  }

  /** Removes a channel that did not belong to this migration. Its name stays taken, for the timeline has it. */
  drop(channel: ChannelHead, why: string): void {
    this.dropped.set(channel, why);
    if (channel instanceof ChannelFile) channel.remove();
  }

  /** In the order in which they began. */
  get facts(): ChannelFact[] {
    return this.kept.map((channel) => this.factOf(channel));
  }

  /** Total bytes of all channels. */
  get bytes(): number {
    return this.kept.reduce((sum, { length }) => sum + length, 0);
  }

  /**
   * Waits until the disk has stored every byte and the list. More data may follow, and this may be called again.
   * Errors: io; the channels are then as complete as possible.
   */
  settle(facts: RecordingFacts): void {
    const { folder, sequence } = this;
    this.complete = facts.complete;
    if (folder === undefined || sequence === undefined) return;
    const failed: unknown[] = [];
    const step = (work: () => void): boolean => {
      try {
        work();
        return true;
      } catch (error) {
        failed.push(error);
        return false;
      }
    };
    step(() => attempt(folder, () => rmSync(this.reserve!, { force: true })));
    for (const channel of this.kept) if (channel instanceof ChannelFile) step(() => channel.sync());
    if (this.timeline !== undefined) step(() => this.timeline!.sync());
    const list = this.channels.map((channel) => {
      const why = this.dropped.get(channel);
      return why === undefined ? this.factOf(channel) : { file: channel.file, refused: why };
    });
    const all = { channels: list, ...facts };
    if (!step(() => sequence.settle(all))) {
      const text = failed.map((error) => (error instanceof Error ? error.message : String(error))).join("; ");
      step(() => sequence.settle({ ...all, complete: false, reason: facts.reason ?? text }, true));
    }
    step(() => attempt(folder, () => fsyncSync(this.fd!)));
    if (failed.length > 0) throw failed[0] instanceof QevmError ? failed[0] : new QevmError("io", String(failed[0]));
  }

  close(): void {
    for (const channel of this.channels) if (channel instanceof ChannelFile) channel.close();
    this.sequence?.close();
    this.timeline?.close();
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
    if (this.reserve !== undefined) rmSync(this.reserve, { force: true });
  }

  private factOf({ file, role, length, whole, reason }: ChannelHead): ChannelFact {
    const fact = { file, role, channelLength: length };
    if (this.complete || whole) return { ...fact, complete: true };
    return { ...fact, complete: false, reason: reason ?? "it was open when the migration failed" };
  }

  private get kept(): ChannelHead[] {
    return this.channels.filter((channel) => !this.dropped.has(channel));
  }
}
