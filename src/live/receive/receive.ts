import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../bytes/errors.js";
import { AllowedPeers } from "../../io/transport/allowed-peers.js";
import { textOf } from "../../io/transport/attempt.js";
import { writeDrained } from "../../io/transport/drained.js";
import { OpenConnections } from "../../io/transport/connection.js";
import { openListener, type Connection, type Listening } from "../../io/transport/listen-uri.js";
import type { Refused } from "../../io/transport/connection.js";
import type { TlsFacts, TlsListener } from "../../io/transport/tls/listener.js";
import { beforeEnd } from "../../io/transport/unfinished.js";
import type { ChannelFile } from "./channel-files.js";
import { countSame, LOOK, STRANGERS } from "./checks.js";
import { Gate, type Caller } from "./gate.js";
import { LiveMain, returnBytes, type LiveOptions, withoutMemory } from "./live-main.js";
import { SECOND_MAIN } from "./foreign.js";
import { Recorder, type ChannelFact, type RecordingFacts } from "./recorder.js";
import { SideChannels } from "./side-channels.js";
import { nextChunk, sourceFailed } from "./source-chunks.js";

/** The result of receiving. */
export interface Received {
  /** The listening URI. */
  uri: string;
  /** In the order in which they began. */
  channels: ChannelFact[];
  /** The source opened a return path and got replies. */
  returnPath: boolean;
  /** Total bytes of all channels. */
  receivedBytes: number;
  /** Every byte of the migration was received. */
  complete: boolean;
  /** Connections that did not belong to this migration (at most 100), and the number of further ones. */
  refused: readonly Refused[];
  refusedMore: number;
  /** How the main channel was encrypted, and the peer's name; null: it was not. */
  tls: TlsFacts | null;
}

/** How a migration is received. */
export interface ReceiveOptions extends LiveOptions {
  /** Credentials: every connection must be through TLS. What is received is written in the clear. */
  tls?: TlsListener | undefined;
  /** Addresses (`192.0.2.7`) and networks (`192.0.2.0/24`) that may connect; none: any that reaches the listener. */
  allow?: readonly string[] | undefined;
  /** Called when a source can connect, with the URI to connect to. */
  onListening?: (uri: string) => void;
  /** Called for every connection that does not belong to this migration, after it was closed. */
  onRefused?: (refused: Refused) => void;
  /**
   * Called when the disk has stored every byte of the migration in the folder, before the source is told that it may
   * end its guest. Moves the recording to its name. If it throws, the source is told that the migration failed.
   */
  confirm?: (received: Received) => void | Promise<void>;
  /**
   * Called where the migration failed or a signal ends the process, after everything received was stored in the folder
   * as well as possible (`complete: false`). Synchronous. Not called where nothing was received.
   */
  keep?: (received: Received, reason: string) => void;
}

/** Number of checks without new data or connections after which everything in flight has arrived. */
const QUIET = 10;
/** Milliseconds to wait for other channels after the main one has failed. */
const MOMENT = 2000;
/** Milliseconds to wait for a channel that stays open or lacks packets. */
const PATIENCE = 10_000;

/**
 * Waits for one migration and writes every channel of it into an existing empty folder: `main.bin`, `multifd-N.bin`,
 * `preempt.bin`, `return-path.bin`, `recording.json`. Replies on the return path like a destination. The final reply,
 * on which the source ends its guest, is sent after everything is on disk and `confirm` has returned. Connections that
 * do not belong to the migration are closed and reported. Errors: usage, io; truncated where the source closes early;
 * the stream's error where it is damaged. What was received is then in the folder.
 */
export async function receiveInto(folder: string, uri: string, options: ReceiveOptions = {}): Promise<Received> {
  const receiver = new Receiver(folder, options, new AllowedPeers(options.allow ?? [], uri));
  try {
    return await receiver.run(uri);
  } finally {
    receiver.close();
  }
}

class Receiver {
  private readonly recorder: Recorder;
  private readonly gate: Gate;
  private readonly side: SideChannels;
  private readonly connections = new OpenConnections();
  private listening: Listening | undefined;
  private uri: string;
  private main: { live: LiveMain; file: ChannelFile; connection: Connection; open: boolean } | undefined;
  private answers: ChannelFile | undefined;
  /** Everything has arrived: later failures do not affect the migration. */
  private allCame = false;
  /** The outcome of the migration; set once, so that `keep` is called only once. */
  private settled = false;
  private over: { resolve: () => void; reject: (error: unknown) => void } | undefined;

  constructor(
    folder: string,
    private readonly options: ReceiveOptions,
    allowed: AllowedPeers,
  ) {
    this.uri = "";
    this.recorder = new Recorder(folder);
    const facts = {
      mainIsHere: () => this.main !== undefined,
      mayBeSilent: () => this.main?.live.postcopy === true,
    };
    this.gate = new Gate(facts, (refused) => options.onRefused?.(refused), allowed);
    this.side = new SideChannels(this.recorder, this.gate);
  }

  async run(uri: string): Promise<Received> {
    const ended = new Promise<void>((resolve, reject) => {
      this.over = { resolve, reject };
    });
    ended.catch(() => undefined);
    const ending = beforeEnd((signal) => this.fail(`ended by ${signal}`));
    try {
      this.uri = uri;
      this.listening = await openListener(uri, (connection) => this.accept(connection), this.options.tls);
      this.uri = this.listening.uri;
      this.options.onListening?.(this.uri);
      await ended;
      await this.confirm();
      await this.untilClosed();
      return this.received(true);
    } catch (error) {
      await this.say(1);
      this.fail(textOf(error));
      throw error;
    } finally {
      ending.forget();
    }
  }

  close(): void {
    this.settled = true;
    this.listening?.close();
    this.gate.close();
    this.connections.close();
    this.recorder.close();
  }

  private accept(connection: Connection): void {
    this.connections.add(connection);
    // After an error `close` ends the connection.
    this.channel(connection).then(
      () => this.connections.ended(connection),
      (error: unknown) => this.over?.reject(error),
    );
  }

  private async channel(connection: Connection): Promise<void> {
    const alone = !/^(?:tcp|unix):/u.test(this.uri);
    const caller = await this.gate.admit(connection, alone);
    if (caller === undefined) {
      if (!alone) return;
      await connection.ended();
      throw new QevmError("truncated", "the source sent no stream header");
    }
    if (alone && caller.role !== "main") {
      throw new QevmError("bad-magic", "a connection that does not begin with a stream header", { offset: 0 });
    }
    if (caller.role !== "main") await this.side.receive(caller, this.main?.live);
    else if (this.main === undefined) await this.follow(caller);
    else this.gate.refuse(connection, caller.head.length, SECOND_MAIN);
  }

  /** Reads the main channel from its first byte to its last. */
  private async follow({ connection, head, rest }: Caller): Promise<void> {
    const file = this.recorder.open("main") as ChannelFile;
    const live = new LiveMain(file, (bytes) => this.answer(connection, bytes), this.options);
    const main = { live, file, connection, open: true };
    this.main = main;
    this.gate.wake();
    void live.done.then(() => this.mainDone(live));
    try {
      for (let chunk: Uint8Array | undefined = head; chunk !== undefined; chunk = await nextChunk(rest)) {
        this.recorder.note(file, chunk);
        await live.feed(chunk);
      }
    } catch (error) {
      // A source that is done may reset the connection, because it no longer reads replies.
      if (!live.complete) {
        file.reason ??= `it broke off: ${textOf(error)}`;
        throw sourceFailed(error);
      }
    } finally {
      live.end();
    }
    await live.done;
    await connection.ended();
    main.open = false;
  }

  private mainDone(live: LiveMain): void {
    const { file } = this.main!;
    file.whole = live.complete;
    if (live.failure !== undefined) file.reason ??= textOf(live.failure);
    if (live.failure === undefined) {
      this.untilComplete(live).then(
        () => this.over?.resolve(),
        (error: unknown) => this.over?.reject(error),
      );
    } else {
      // A source that tries again must not send its guest to a listener that is about to end.
      this.listening?.close();
      // Keep what the other channels have sent by then.
      void this.drained().then(() => this.over?.reject(live.failure));
    }
  }

  /**
   * Waits until everything that belongs to the main channel has arrived. A source with a return path keeps its channels
   * open until the final reply.
   */
  private async untilComplete(live: LiveMain): Promise<void> {
    const [quiet, ours] = [this.countQuiet(), this.countQuiet(false)];
    for (let k = 0; ; k++) {
      const [all, own] = [quiet(), ours()];
      const looks = k < STRANGERS ? all : own;
      const busy = k < STRANGERS && this.gate.busy;
      const open = this.isOpen() || busy;
      const ended = looks >= QUIET && (live.returnPath ? !busy : !open);
      if (this.side.allHere && (ended || looks >= PATIENCE / LOOK)) break;
      if ((!open && looks >= QUIET) || looks >= PATIENCE / LOOK) {
        throw new QevmError("truncated", "packets of the multifd channels are missing");
      }
      await sleep(LOOK);
    }
    this.side.dropIdle();
    if (live.lacksMemory && this.side.channels.length === 0) throw withoutMemory("cpr-transfer or cpr-exec");
  }

  /** Waits briefly for data in flight on the other channels. */
  private async drained(): Promise<void> {
    const quiet = this.countQuiet();
    for (let k = 0; k < MOMENT / LOOK && (quiet() < QUIET || this.gate.busy); k++) await sleep(LOOK);
  }

  /**
   * Counts checks without new data.
   * @param strangers whether data of connections that are not identified counts, too
   */
  private countQuiet(strangers = true): () => number {
    const same = countSame();
    return () => same(this.recorder.bytes + (strangers ? this.gate.seen : 0));
  }

  private isOpen(): boolean {
    return this.main?.open === true || this.side.isOpen;
  }

  private async confirm(): Promise<void> {
    const shut = returnBytes({ name: "SHUT", value: 0 });
    const answers = this.main?.live.returnPath === true;
    if (answers) this.note(shut);
    this.recorder.settle(this.facts(true));
    this.allCame = true;
    await this.options.confirm?.(this.received(true));
    this.settled = true;
    const { output } = this.main!.connection;
    if (answers && output !== undefined) await writeDrained(output, shut);
  }

  /** The source closes its connections after the final reply; data until then is recorded. */
  private async untilClosed(): Promise<void> {
    const { bytes } = this.recorder;
    const start = performance.now();
    while (this.isOpen() && performance.now() - start < PATIENCE) await sleep(LOOK);
    this.connections.endOutputs();
    const refused = this.refusals();
    this.gate.close();
    await sleep(LOOK);
    if (this.recorder.bytes !== bytes || this.refusals() !== refused) this.recorder.settle(this.facts(true));
  }

  private refusals(): number {
    return this.gate.refused.length + this.gate.refusedMore;
  }

  /** Keeps what was received as well as possible. Synchronous, and done once. */
  private fail(reason: string): void {
    if (this.settled) return;
    this.settled = true;
    const { unproven } = this.gate;
    if (this.main === undefined && unproven === undefined) return;
    try {
      if (this.main === undefined) this.recorder.note(this.recorder.open("main"), unproven!);
      if (!this.allCame) this.recorder.settle(this.facts(false, reason));
    } catch {
      // The disk is full or broken: keep what is there.
    }
    this.options.keep?.(this.received(this.allCame), reason);
  }

  private async say(value: number): Promise<void> {
    const { main } = this;
    if (this.settled || main?.live.returnPath !== true) return;
    const bytes = returnBytes({ name: "SHUT", value });
    try {
      if (this.allCame) this.answers?.amend(bytes);
      else this.note(bytes);
    } catch {
      // The disk may be full; the source is told in any case.
    }
    const { output } = main.connection;
    if (output?.writable === true) output.write(bytes);
  }

  private async answer({ output }: Connection, bytes: Uint8Array): Promise<void> {
    if (output === undefined || !output.writable) return;
    this.note(bytes);
    await writeDrained(output, bytes);
  }

  private note(bytes: Uint8Array): void {
    this.answers ??= this.recorder.open("return-path") as ChannelFile;
    // Whatever it holds is everything that was answered.
    this.answers.whole = true;
    this.recorder.note(this.answers, bytes);
  }

  private facts(complete: boolean, reason?: string): RecordingFacts {
    const { refused, refusedMore } = this.gate;
    const why = reason === undefined ? {} : { reason };
    return { received: this.uri, tls: this.tls, complete, ...why, refused, refusedMore };
  }

  private get tls(): TlsFacts | null {
    return this.main?.connection.tls ?? null;
  }

  private received(complete: boolean): Received {
    const { facts: channels, bytes } = this.recorder;
    const { refused, refusedMore } = this.gate;
    const returnPath = this.main?.live.returnPath ?? false;
    return { uri: this.uri, channels, returnPath, receivedBytes: bytes, complete, refused, refusedMore, tls: this.tls };
  }
}
