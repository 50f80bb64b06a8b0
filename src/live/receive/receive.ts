import { QevmError } from "../../bytes/errors.js";
import { textOf } from "../../io/transport/attempt.js";
import { writeDrained } from "../../io/transport/drained.js";
import { openListener, type Connection, type Listening } from "../../io/transport/listen-uri.js";
import { beforeEnd } from "../../io/transport/unfinished.js";
import type { ChannelFile } from "./channel-files.js";
import { Gate, type Caller, type Refused } from "./gate.js";
import { LiveMain, returnBytes, type LiveOptions } from "./live-main.js";
import { Recorder, type ChannelFact, type RecordingFacts } from "./recorder.js";
import { SideChannels } from "./side-channels.js";

/** What was received. */
export interface Received {
  /** Where it was listened. */
  uri: string;
  /** In the order in which they began. */
  channels: ChannelFact[];
  /** The source asked for answers and got them. */
  returnPath: boolean;
  /** Bytes of all channels. */
  bytes: number;
  /** Every byte of the migration is there. */
  complete: boolean;
  /** Connections that were none of this migration (at most 100), and how many more there were. */
  refused: readonly Refused[];
  refusedMore: number;
}

/** How a migration is received. */
export interface ReceiveOptions extends LiveOptions {
  /** Called when a source can connect, with the URI by which it does. */
  onListening?: (uri: string) => void;
  /** Called with every connection that is none of this migration, after it was closed. */
  onRefused?: (refused: Refused) => void;
  /**
   * Called when the disk has every byte of the migration in the folder, before the source hears that it may end its guest. Gives the
   * recording its name. Where it throws, the source hears that the migration failed.
   */
  confirm?: (received: Received) => void | Promise<void>;
  /**
   * Called where the migration failed or a signal ends the process, when all that came is in the folder as well as it can be
   * (`complete: false`). Synchronous. Not called where nothing of a migration has come.
   */
  keep?: (received: Received, reason: string) => void;
}

/** Milliseconds between two looks at whether all has come. */
const LOOK = 20;
/** Looks without a byte or connection after which all that is under way has come. */
const QUIET = 10;
/** Milliseconds that other channels may still bring something when the main one has failed. */
const MOMENT = 2000;
/** Milliseconds that a channel is waited for that is left open, or lacks packets. */
const PATIENCE = 10_000;

/**
 * Waits for one migration and writes every channel of it into a folder that exists and is empty: `main.bin`, `multifd-N.bin`, `preempt.bin`,
 * `return-path.bin`, `recording.json`. Answers the return path as a destination does; the last answer, by which the source ends its guest, is
 * given after the disk has everything and `confirm` has returned. Connections that are none of the migration are closed and noted. Errors:
 * usage, io; truncated where the source hangs up early; whatever a broken stream is refused for. What came is in the folder then.
 */
export async function receiveInto(folder: string, uri: string, options: ReceiveOptions = {}): Promise<Received> {
  const receiver = new Receiver(folder, options);
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
  private readonly connections = new Set<Connection>();
  private listening: Listening | undefined;
  private uri: string;
  private main: { live: LiveMain; file: ChannelFile; connection: Connection; open: boolean } | undefined;
  private answers: ChannelFile | undefined;
  /** All has come: what fails from then on is not the migration. */
  private allCame = false;
  /** What the migration ended with; nothing is kept twice. */
  private settled = false;
  private over: { resolve: () => void; reject: (error: unknown) => void } | undefined;

  constructor(
    folder: string,
    private readonly options: ReceiveOptions,
  ) {
    this.uri = "";
    this.recorder = new Recorder(folder);
    const facts = {
      mainIsHere: () => this.main !== undefined,
      mayBeSilent: () => this.main?.live.postcopy === true,
    };
    this.gate = new Gate(facts, (refused) => options.onRefused?.(refused));
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
      this.listening = await openListener(uri, (connection) => this.take(connection));
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
    for (const { output } of this.connections) output?.end();
    for (const connection of this.connections) connection.destroy();
    this.recorder.close();
  }

  private take(connection: Connection): void {
    this.connections.add(connection);
    // Who does not want to hear the answers is not made to.
    connection.output?.on("error", () => undefined);
    this.channel(connection)
      .catch((error: unknown) => this.over?.reject(error))
      .finally(() => this.connections.delete(connection));
  }

  private async channel(connection: Connection): Promise<void> {
    const alone = !/^(?:tcp|unix):/u.test(this.uri);
    const caller = await this.gate.admit(connection, alone);
    if (caller === undefined) {
      if (!alone) return;
      await connection.ended();
      throw new QevmError("truncated", "the source sent nothing that begins as a stream does");
    }
    if (alone && caller.role !== "main") {
      throw new QevmError("bad-magic", "a connection that does not begin as a stream does", { offset: 0 });
    }
    if (caller.role !== "main") await this.side.take(caller, this.main?.live);
    else if (this.main === undefined) await this.follow(caller, alone);
    else this.gate.refuse(connection, caller.head.length, "it is a second main channel");
  }

  /** The main channel, from its first byte to its last. */
  private async follow({ connection, head, rest }: Caller, alone: boolean): Promise<void> {
    const file = this.recorder.open("main") as ChannelFile;
    const live = new LiveMain(file, (bytes) => this.answer(connection, bytes), this.options);
    const main = { live, file, connection, open: true };
    this.main = main;
    this.gate.wake();
    // Somebody who sends a header and no more must not keep the source out.
    const timer = setTimeout(() => {
      if (!live.begun && !alone) connection.destroy();
    }, PATIENCE);
    void live.done.then(() => this.mainDone(alone));
    try {
      for (let chunk: Uint8Array | undefined = head; chunk !== undefined; chunk = await following(rest)) {
        this.recorder.note(file, chunk);
        await live.feed(chunk);
      }
    } catch (error) {
      // A source that is done may reset the connection whose answers it no longer reads.
      if (!live.complete && live.begun) throw failed(error);
    } finally {
      clearTimeout(timer);
      live.end();
    }
    await live.done;
    await connection.ended();
    main.open = false;
  }

  private mainDone(alone: boolean): void {
    const { main } = this;
    if (main === undefined) return;
    const { live, file, connection } = main;
    if (live.failure !== undefined && !live.begun && !alone) {
      this.main = undefined;
      this.recorder.drop(file, textOf(live.failure));
      this.gate.refuse(connection, file.length, `it begins as a main channel does, and ends: ${textOf(live.failure)}`);
    } else if (live.failure === undefined) {
      this.whole(main.live).then(
        () => this.over?.resolve(),
        (error: unknown) => this.over?.reject(error),
      );
    } else {
      // What other channels have sent by then is kept.
      void this.drained().then(() => this.over?.reject(live.failure));
    }
  }

  /** Waits until all that belongs to the main channel has come. A source with a return path leaves its channels open until it is answered. */
  private async whole(live: LiveMain): Promise<void> {
    const quiet = this.quiet();
    for (;;) {
      const looks = quiet();
      const open = this.isOpen() || this.gate.busy;
      const ended = looks >= QUIET && (live.returnPath ? !this.gate.busy : !open);
      if (this.side.allHere && (ended || looks >= PATIENCE / LOOK)) return;
      if ((!open && looks >= QUIET) || looks >= PATIENCE / LOOK) {
        throw new QevmError("truncated", "packets of the multifd channels are missing");
      }
      await pause(LOOK);
    }
  }

  /** Waits for what is under way on the other channels, for a moment. */
  private async drained(): Promise<void> {
    const quiet = this.quiet();
    for (let k = 0; k < MOMENT / LOOK && (quiet() < QUIET || this.gate.busy); k++) await pause(LOOK);
  }

  /** For how many looks nothing has come. Looks are counted, not time: while this process is held up, what came waits to be read. */
  private quiet(): () => number {
    let looks = 0;
    let before = -1;
    return () => {
      const now = this.recorder.bytes + this.gate.seen;
      looks = now === before ? looks + 1 : 0;
      before = now;
      return looks;
    };
  }

  private isOpen(): boolean {
    return this.main?.open === true || this.side.channels.some((channel) => channel.open);
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

  /** The source closes its connections when it has heard the last word; what it says until then is written down. */
  private async untilClosed(): Promise<void> {
    const { bytes } = this.recorder;
    const start = performance.now();
    while (this.isOpen() && performance.now() - start < PATIENCE) await pause(LOOK);
    for (const { output } of this.connections) output?.end();
    const refused = this.refusals();
    this.gate.close();
    await pause(LOOK);
    if (this.recorder.bytes !== bytes || this.refusals() !== refused) this.recorder.settle(this.facts(true));
  }

  private refusals(): number {
    return this.gate.refused.length + this.gate.refusedMore;
  }

  /** Makes the best of what came. Synchronous, and once. */
  private fail(reason: string): void {
    if (this.settled) return;
    this.settled = true;
    if (this.main === undefined) return;
    try {
      if (!this.allCame) this.recorder.settle(this.facts(false, reason));
    } catch {
      // The disk is full or broken: what is there is kept.
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
      // The disk may be full; the source hears it in any case.
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
    this.recorder.note(this.answers, bytes);
  }

  private facts(complete: boolean, reason?: string): RecordingFacts {
    const { refused, refusedMore } = this.gate;
    const why = reason === undefined ? {} : { reason };
    return { received: this.uri, complete, ...why, refused, refusedMore };
  }

  private received(complete: boolean): Received {
    const { facts: channels, bytes } = this.recorder;
    const { refused, refusedMore } = this.gate;
    const returnPath = this.main?.live.returnPath ?? false;
    return { uri: this.uri, channels, returnPath, bytes, complete, refused, refusedMore };
  }
}

async function following(rest: AsyncIterator<Uint8Array>): Promise<Uint8Array | undefined> {
  const { done, value } = await rest.next();
  return done === true ? undefined : value;
}

async function pause(milliseconds: number): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

function failed(error: unknown): QevmError {
  if (error instanceof QevmError) return error;
  return new QevmError("io", `the source's connection: ${textOf(error)}`, { cause: error });
}
