import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../bytes/errors.js";
import {
  countSame,
  Gate,
  IDLE,
  leads,
  LOOK,
  whyForeign,
  STRANGERS,
  type Caller,
  type ChannelHead,
} from "../receive/index.js";
import type { ChannelRole } from "../../io/recording/index.js";
import { checkDestination, openDestination, type Destination } from "../../io/transport/destination-uri.js";
import { AllowedPeers } from "../../io/transport/allowed-peers.js";
import { textOf } from "../../io/transport/attempt.js";
import { writeDrained } from "../../io/transport/drained.js";
import { beforeEnd } from "../../io/transport/unfinished.js";
import { OpenConnections } from "../../io/transport/connection.js";
import { openListener, type Connection, type Listening } from "../../io/transport/listen-uri.js";
import type { TlsFacts } from "../../io/transport/tls/listener.js";
import type { PassingAdapt } from "../../rewrite/adapt/live.js";
import { convertMain, openedLater, type Converted } from "./conversion.js";
import { closedEarly, endOf, onceThere } from "./destination.js";
import { Outcome } from "./outcome.js";
import { Ahead } from "./pump.js";
import { RelayRecord } from "./record.js";
import type { Relayed, RelayOptions } from "./types.js";

/**
 * Relays one migration: every connection of the source becomes one to the destination, in the same order, and replies
 * of the destination go back. With `convert` or `multifd` the pages of all channels are rewritten. On an error both sides
 * lose their connections. Errors: usage, io; the stream's error where a converted stream is damaged; unsupported where
 * pages in multifd channels cannot be rewritten; does-not-fit where `adapt` refuses something; bad-value where the
 * destination reports failure or closes early.
 */
export async function relay(from: string, to: string, options: RelayOptions = {}): Promise<Relayed> {
  checkDestination(to, options.connectTls);
  const by = async (adapt?: PassingAdapt): Promise<Relayed> => {
    const between = new Relay(from, to, options, adapt);
    try {
      return await between.run();
    } finally {
      between.close();
    }
  };
  if (options.adapt === undefined) return await by();
  const { withAdapt } = await import("./adapting.js");
  return await withAdapt(options.adapt, by);
}

class Relay {
  private readonly record: RelayRecord;
  private readonly gate: Gate;
  private readonly connections = new OpenConnections();
  private readonly destinations: Destination[] = [];
  private readonly outcome = new Outcome();
  private readonly callers: Caller[] = [];
  private readonly conversion: RelayOptions["convert"];
  private done: Converted | undefined;
  /** The source's multifd channels, where pages are changed. */
  private readonly ahead = new Ahead();
  private from: string;
  private open = 0;
  private closed = false;
  private mainIsHere = false;
  private mainEnded = false;
  /** Connections are made one after the other, so that the destination sees them in the source's order. */
  private connected: Promise<unknown> = Promise.resolve();
  private listening: Listening | undefined;
  /** The destination's multifd channels are connected. */
  private tellOpen = (): void => undefined;
  private readonly channelsAreOpen = new Promise<void>((resolve) => (this.tellOpen = resolve));
  private over: { resolve: () => void; reject: (error: unknown) => void } | undefined;

  constructor(
    from: string,
    private readonly to: string,
    private readonly options: RelayOptions,
    private readonly adapt: PassingAdapt | undefined,
  ) {
    this.from = from;
    this.conversion = options.convert ?? (options.multifd === undefined ? undefined : { ram: "normal" });
    const facts = {
      mainIsHere: () => this.mainIsHere,
      mayBeSilent: () => this.outcome.announcement.is.postcopy,
      takesSilent: true,
      takesResumed: true,
    };
    const allowed = new AllowedPeers(options.allow ?? [], from);
    this.gate = new Gate(facts, (refused) => options.onRefused?.(refused), allowed);
    this.record = new RelayRecord(options, () => {
      const { refused, refusedMore } = this.gate;
      return { received: this.from, sent: this.to, tls: this.tls, refused, refusedMore };
    });
  }

  async run(): Promise<Relayed> {
    const ended = new Promise<void>((resolve, reject) => {
      this.over = { resolve, reject };
    });
    ended.catch(() => {});
    const ending = beforeEnd((signal) => {
      if (this.mainIsHere) this.record.fail(`ended by ${signal}`);
    });
    try {
      const take = (connection: Connection): void => this.accept(connection);
      this.listening = await openListener(this.from, take, this.options.listenTls);
      this.from = this.listening.uri;
      this.options.onListening?.(this.from);
      await ended;
      await this.outcome.check(this.record.hasAnswers);
      this.gate.close();
      await this.record.settle();
      return await this.relayed();
    } catch (error) {
      if (this.mainIsHere) this.record.fail(textOf(error));
      throw error;
    } finally {
      ending.forget();
      this.listening?.close();
    }
  }

  close(): void {
    this.closed = true;
    this.gate.close();
    this.connections.close();
    for (const destination of this.destinations) destination.abort();
    for (const pump of this.ahead.pumps) pump.close();
    this.record.close();
  }

  private accept(connection: Connection): void {
    this.connections.add(connection);
    // After an error `close` ends the connection.
    this.admit(connection).then(
      () => this.connections.ended(connection),
      (error: unknown) => this.over?.reject(error),
    );
  }

  private async admit(connection: Connection): Promise<void> {
    const alone = !/^(?:tcp|unix):/u.test(this.from);
    const caller = await this.gate.admit(connection, alone);
    if (caller === undefined || (alone && caller.role !== "main")) {
      if (!alone) return;
      await connection.ended();
      throw new QevmError("truncated", "the source sent no stream header");
    }
    const why = whyForeign(caller, this.callers, this.outcome.announcement.is.postcopy);
    if (why !== undefined) {
      this.gate.refuse(connection, caller.head.length, why);
      return;
    }
    this.callers.push(caller);
    this.open++;
    try {
      await this.channel(caller);
    } finally {
      this.open--;
    }
    void this.ended();
  }

  /** Relays one connection from its first byte to its last. */
  private async channel(caller: Caller): Promise<void> {
    const { connection, role } = caller;
    const isMain = leads(role);
    if (role === "resumed") this.outcome.announcement.resume();
    if (role === "multifd" && this.changesPages) {
      await this.pump(caller, this.record.open(role, caller.id));
      return;
    }
    const first = isMain ? this.record.open(role) : undefined;
    // The destination goes on waiting, for another try.
    if (role === "main") await this.adapt?.look(caller.head, this.options.adapt?.stream);
    // It says nothing: a destination that still waits for multifd channels would wait for its first bytes.
    if (role === "preempt" && this.options.multifd !== undefined && !this.resumes) await this.channelsAreOpen;
    const connect = (): Promise<Destination> => this.connect((bytes) => this.answer(connection, bytes, isMain));
    const { onWaiting } = this.options;
    const connected = role === "resumed" ? onceThere(connect, onWaiting, () => this.closed) : connect();
    const destination = await connected.catch((error: unknown) => {
      if (role !== "multifd") throw error;
      return this.disown(caller, error);
    });
    if (destination === undefined) return;
    const channel = first ?? this.record.open(role, caller.id);
    if (isMain) {
      this.mainIsHere = true;
      this.gate.wake();
    }
    let gone: { error: unknown } | undefined;
    void destination.over.then((error) => {
      gone = { error };
      // The source sees that the destination closes, as if it were connected directly.
      connection.output?.end();
      setTimeout(() => (isMain ? void this.left(error) : connection.destroy()), PATIENCE).unref();
    });
    try {
      await this.forward(role, this.record.through(caller, channel), destination);
      // A source that tries again must not send its guest to a relay that is about to end.
      if (isMain && !this.outcome.hasEnded()) this.listening?.close();
      // A destination that is done may have closed already.
      const early = isMain && !this.outcome.hasEnded() ? this.to : undefined;
      if (gone === undefined) await endOf(destination, role === "multifd", early);
      else if (gone.error !== undefined) throw gone.error;
      channel.whole = isMain && this.outcome.hasEnded();
      channel.reason ??= isMain
        ? "it ended before the stream did"
        : "its source closed it before the migration was over";
    } catch (error) {
      if (!(await this.isExcused(error, isMain))) {
        channel.reason ??= textOf(error);
        if (role !== "multifd") throw error;
        // The main channel shows whether the migration has failed by it.
        this.outcome.lost ??= error;
        connection.destroy();
        return;
      }
    }
    await connection.ended();
    if (isMain) this.mainEnded = true;
  }

  /** A destination that has all its multifd channels refuses another one, which is no reason to end the migration. */
  private disown(caller: Caller, error: unknown): undefined {
    this.callers.splice(this.callers.indexOf(caller), 1);
    const why = `the destination takes no further channel: ${textOf(error)}`;
    this.gate.refuse(caller.connection, caller.head.length, why);
    return undefined;
  }

  /**
   * A connection goes on though the destination has closed its main one: an error, unless the source was told that its
   * guest is loaded, or asked for no answer and has sent all.
   */
  private async left(error: unknown): Promise<void> {
    const unasked = error === undefined && (await this.outcome.isSentUnasked());
    if (unasked || (await this.outcome.isLoaded())) this.over?.resolve();
    else this.over?.reject(error ?? closedEarly(this.to));
  }

  /** Connects to the destination, after the connections before it. */
  private async connect(answers?: (bytes: Uint8Array) => Promise<void>): Promise<Destination> {
    const connecting = this.connected.then(() => openDestination(this.to, answers, this.options.connectTls));
    this.connected = connecting.catch(() => {});
    const destination = await connecting;
    this.destinations.push(destination);
    if (this.closed) destination.abort();
    return destination;
  }

  /** A multifd channel whose pages are changed: it has no connection of its own to the destination. */
  private async pump(caller: Caller, channel: ChannelHead): Promise<void> {
    const left = (): void => this.gate.refuse(caller.connection, channel.length, IDLE);
    await this.ahead.add(this.record.through(caller, channel), left).done.catch((error: unknown) => {
      channel.reason ??= textOf(error);
      // A destination that has loaded everything lets the source go.
      if (!this.mainEnded) throw error;
    });
  }

  /**
   * Waits until every multifd channel is here. A source has connected them all and sent SYNC on each before the setup of
   * its RAM is sent on the main channel.
   */
  private async settled(): Promise<void> {
    const same = countSame();
    const seen = (k: number): number | undefined => {
      const { pumps } = this.ahead;
      if (k >= STRANGERS) return pumps.length;
      return this.gate.busy ? undefined : pumps.length + this.gate.seen;
    };
    for (let k = 0; same(seen(k)) < QUIET; k++) await sleep(LOOK);
    this.ahead.begin();
  }

  /**
   * Whether a connection may break: when the destination has loaded everything. Until 7.2 it resets multifd channels
   * before it confirms, and without a return path it never confirms.
   */
  private async isExcused(error: unknown, isMain: boolean): Promise<boolean> {
    if (!(error instanceof QevmError) || error.code !== "io") return false;
    for (const start = performance.now(); ;) {
      if (await this.outcome.isLoaded()) return true;
      if (isMain || this.closed) return false;
      if (this.mainEnded) return true;
      if (performance.now() - start > PATIENCE) return false;
      await sleep(LOOK);
    }
  }

  private async forward(role: ChannelRole, chunks: AsyncGenerator<Uint8Array>, to: Destination): Promise<void> {
    const passing = leads(role) ? this.kept(chunks) : chunks;
    const changes = this.conversion !== undefined || this.adapt !== undefined;
    if (role === "main" && changes) await this.convert(passing, to);
    else for await (const chunk of passing) await to.write(chunk);
  }

  private async *kept(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      await this.outcome.note(chunk);
      yield chunk;
    }
  }

  /** Rewrites the main channel, with what the others bring. */
  private async convert(chunks: AsyncGenerator<Uint8Array>, to: Destination): Promise<void> {
    const { multifd, adapt } = this.options;
    const opened: Destination[] = [];
    this.done = await convertMain({
      chunks,
      tail: this.outcome.main,
      ahead: this.ahead,
      to,
      convert: this.conversion,
      adapt: this.adapt,
      stream: adapt?.stream,
      prepare: async () => {
        if (this.changesPages) await this.settled();
        const open = async (): Promise<Destination> => {
          const channel = await this.connect();
          if (opened.push(channel) === multifd?.channels) this.tellOpen();
          return channel;
        };
        const channels = Array.from({ length: multifd?.channels ?? 0 }, () => openedLater(open));
        return {
          channels,
          multifd: multifd && { ...multifd, uuid: multifd.uuid ?? this.uuid },
        };
      },
    });
    // A destination that has loaded everything may have closed them.
    for (const channel of opened) void channel.end(true).catch(() => undefined);
  }

  private async answer({ output }: Connection, bytes: Uint8Array, isMain: boolean): Promise<void> {
    if (isMain) {
      this.record.answer(bytes);
      this.outcome.replies.note(bytes);
      // The source ends its guest on this message.
      if (await this.outcome.isLoaded()) await this.record.confirm();
    }
    if (output !== undefined) await writeDrained(output, bytes);
  }

  /**
   * When all connections have ended, the migration has ended. Connections that wait to be identified are handled first.
   */
  private async ended(): Promise<void> {
    const same = countSame();
    for (let k = 0; ; k++) {
      const looks = same(this.gate.seen);
      await sleep(LOOK);
      if (this.open > 0 || !this.mainEnded) return;
      if ((looks >= QUIET && !this.gate.busy) || k >= STRANGERS) return this.over?.resolve();
    }
  }

  /** Otherwise multifd channels pass unchanged beside a changed main channel, which has none of their pages. */
  private get changesPages(): boolean {
    const { multifd } = this.options;
    return multifd !== undefined || this.adapt !== undefined || (this.conversion?.ram ?? "keep") !== "keep";
  }

  /** The migration goes on after a break in postcopy: what a relay changes came before, or is not there. */
  private get resumes(): boolean {
    return this.callers.some(({ role }) => role === "resumed");
  }

  /** That of the source's multifd channels. */
  private get uuid(): Uint8Array | undefined {
    const uuid = this.callers.find(({ role }) => role === "multifd")?.uuid;
    return uuid === undefined ? undefined : Buffer.from(uuid, "hex");
  }

  private get tls(): TlsFacts | null {
    return this.callers.find(({ role }) => leads(role))?.connection.tls ?? null;
  }

  private async relayed(): Promise<Relayed> {
    const { from, to } = this;
    const { converted = null, adapted = null, split = null } = this.done ?? {};
    const { facts: channels } = this.record;
    const { refused, refusedMore } = this.gate;
    const loaded = (await this.outcome.isLoaded()) ? true : null;
    const done = { converted, split, adapted };
    return { listenUri: from, connectUri: to, channels, ...done, loaded, refused, refusedMore, tls: this.tls };
  }
}

/**
 * Milliseconds to wait for the source after the destination has closed, and for the final reply after the channels have
 * ended.
 */
const PATIENCE = 10_000;
/** Number of checks without a new connection or byte after which none is in flight. */
const QUIET = 8;
