import { QevmError } from "../../bytes/errors.js";
import { idle, type ChannelRole } from "../../io/recording/index.js";
import { textOf } from "../../io/transport/attempt.js";
import type { Connection } from "../../io/transport/listen-uri.js";
import type { ChannelHead } from "./channel-files.js";
import type { Caller, Gate } from "./gate.js";
import type { LiveMain } from "./live-main.js";
import { whyForeign } from "./foreign.js";
import { allHere, IDLE, PacketCount } from "./packet-count.js";
import type { Recorder } from "./recorder.js";

/** A channel besides the main one. */
interface SideChannel {
  readonly connection: Connection;
  readonly file: ChannelHead;
  readonly role: ChannelRole;
  readonly id: number | undefined;
  readonly uuid: string | undefined;
  /** Of a multifd channel. */
  readonly count: PacketCount | undefined;
  open: boolean;
}

/** The multifd channels and the preempt channel of a migration. */
export class SideChannels {
  readonly channels: SideChannel[] = [];

  constructor(
    private readonly recorder: Recorder,
    private readonly gate: Gate,
  ) {}

  /** Whether every packet that is referred to has arrived. */
  get allHere(): boolean {
    return allHere(this.counts);
  }

  /** Whether more may come on one of them, but on those that are of nobody. */
  get isOpen(): boolean {
    const { ofNobody } = this;
    return this.channels.some((channel) => channel.open && !ofNobody.includes(channel));
  }

  /** Removes the channels that are of nobody. Call it when all packets are here. */
  dropIdle(): void {
    for (const channel of this.ofNobody) this.drop(channel, IDLE);
  }

  private get ofNobody(): SideChannel[] {
    const found = idle(this.counts);
    return this.channels.filter(({ count }) => count !== undefined && found.has(count));
  }

  private get counts(): PacketCount[] {
    return this.channels.flatMap(({ count }) => count ?? []);
  }

  /** Reads one channel from its first byte to its last. Errors: io. */
  async receive(caller: Caller, main: LiveMain | undefined): Promise<void> {
    const { connection, role, id, uuid, head, rest } = caller;
    const why = this.why(caller, main);
    if (why !== undefined) {
      this.gate.refuse(connection, head.length, why);
      return;
    }
    const file = this.recorder.open(role, id);
    const count = role === "multifd" ? new PacketCount(main?.pageSize ?? 4096) : undefined;
    const channel: SideChannel = { connection, file, role, id, uuid, count, open: true };
    this.channels.push(channel);
    let failure: unknown;
    try {
      for (let chunk = head; ;) {
        this.recorder.note(file, chunk);
        await count?.feed(chunk);
        if (count?.failure !== undefined) break;
        const { done, value } = await rest.next();
        if (done === true) break;
        chunk = value;
      }
    } catch (error) {
      failure = error;
    }
    count?.end();
    await count?.done;
    channel.open = false;
    file.whole = failure === undefined && count?.atBorder !== false;
    file.reason ??= failure === undefined ? "it ended inside a packet" : `it broke off: ${textOf(failure)}`;
    if (count?.failure !== undefined) this.drop(channel, textOf(count.failure));
    // A full disk ends the work. A broken channel may lack packets, or nothing.
    else if (failure instanceof QevmError) throw failure;
  }

  /** Why a connection does not belong to this migration; undefined if it does. */
  private why(caller: Caller, main: LiveMain | undefined): string | undefined {
    const why = whyForeign(caller, this.channels, main?.postcopy === true);
    if (why !== undefined || caller.role !== "preempt") return why;
    const { head } = caller;
    const name = Buffer.from(head.subarray(9, 9 + (head[8] ?? 0))).toString("latin1");
    const isKnown = head.length <= 8 || main?.hasBlock(name) === true;
    return isKnown ? undefined : `it names an unknown RAM block ${JSON.stringify(name)}`;
  }

  private drop(channel: SideChannel, why: string): void {
    this.channels.splice(this.channels.indexOf(channel), 1);
    channel.count?.end();
    this.recorder.drop(channel.file, why);
    this.gate.refuse(channel.connection, channel.file.length, why);
  }
}
