import { QevmError } from "../errors.js";
import { convertStream } from "../convert/convert.js";
import type { ConvertOptions, ConvertReport } from "../convert/types.js";
import { ChannelFile, ChannelHead, channelNames, KeptTail, LiveSource, Sequence, StreamEnd } from "../receive/index.js";
import { roleOf, type ChannelRole } from "../recording/index.js";
import type { StreamOptions } from "../stream/index.js";
import { checkDestination, openDestination, type Destination } from "../transport/destination-uri.js";
import { openListener, type Connection, type Listening } from "../transport/listen-uri.js";
import { systemFolder } from "../transport/temporary.js";
import { ReturnTail } from "./return-tail.js";

export interface RelayOptions {
  /** What the main channel becomes on its way; undefined: every byte stays as it is. */
  convert?: (ConvertOptions & StreamOptions) | undefined;
  /** A folder that exists and is empty: what the source sent and the destination answered is written down there, as a recording. */
  record?: string | undefined;
  /** Called when a source can connect, with the URI by which it does. */
  onListening?: (uri: string) => void;
}

/** What passed. */
export interface Relayed {
  /** Where it was listened, and where it went. */
  from: string;
  to: string;
  /** In the order of the connections, with the bytes that the source sent; the destination's answers are a channel, too. */
  channels: { file: string; role: ChannelRole; bytes: number }[];
  /** What was converted; null: nothing. */
  converted: ConvertReport | null;
  /** The destination said that it has loaded everything; null: there was no return path to say so. */
  loaded: true | null;
}

/**
 * Stands between the source and the destination of one migration: every connection of the source becomes one to the destination, made in the
 * same order, and the destination's answers go back. With `convert` the main channel is written anew on its way; pages in multifd channels
 * cannot be. Errors: usage, io; whatever a stream that is converted is refused for; unsupported (multifd and `convert`); bad-value where the
 * destination says that it failed. Whoever is wrong, both sides lose their connections then.
 */
export async function relay(from: string, to: string, options: RelayOptions = {}): Promise<Relayed> {
  checkDestination(to);
  const between = new Relay(to, options);
  try {
    return await between.run(from);
  } finally {
    between.close();
  }
}

class Relay {
  private readonly channels: ChannelHead[] = [];
  private readonly sequence: Sequence | undefined;
  private readonly connections: Connection[] = [];
  private readonly destinations: Destination[] = [];
  private readonly tail = new ReturnTail();
  private readonly main = new KeptTail();
  private answers: ChannelHead | undefined;
  private converted: ConvertReport | null = null;
  private listening: Listening | undefined;
  private open = 0;
  private closed = false;
  /** Connections are made one behind the other, so that the destination sees them in the source's order. */
  private connected: Promise<unknown> = Promise.resolve();
  private settled: { resolve: () => void; reject: (error: unknown) => void } | undefined;

  constructor(
    private readonly to: string,
    private readonly options: RelayOptions,
  ) {
    if (options.record !== undefined) this.sequence = new Sequence(options.record, "recording.json");
  }

  async run(from: string): Promise<Relayed> {
    const over = new Promise<void>((resolve, reject) => {
      this.settled = { resolve, reject };
    });
    over.catch(() => {});
    this.listening = await openListener(from, (connection) => this.take(connection));
    this.options.onListening?.(this.listening.uri);
    await over;
    for (const { output } of this.connections) output?.end();
    return await this.settle();
  }

  close(): void {
    this.closed = true;
    this.listening?.close();
    for (const connection of this.connections) connection.destroy();
    for (const destination of this.destinations) destination.abort();
    for (const channel of this.channels) if (channel instanceof ChannelFile) channel.close();
    this.sequence?.close();
  }

  private take(connection: Connection): void {
    this.connections.push(connection);
    this.open++;
    // What a source does not want to hear any more is dropped.
    connection.output?.on("error", () => {});
    const destination = this.connected.then(() => openDestination(this.to, (bytes) => this.answer(connection, bytes)));
    this.connected = destination.catch(() => {});
    this.channel(connection, destination).then(
      () => this.ended(),
      (error: unknown) => this.settled?.reject(error),
    );
  }

  /** One connection from its first byte to its last. */
  private async channel(connection: Connection, connecting: Promise<Destination>): Promise<void> {
    const destination = await connecting;
    this.destinations.push(destination);
    if (this.closed) destination.abort();
    // A destination that lets go is heard by the source, as if it had been connected to it.
    let gone = false;
    void destination.over.then(() => {
      gone = true;
      connection.output?.end();
    });
    const chunks = this.noted(connection);
    const first = await telling(chunks);
    const role = roleOf(first);
    await this.forward(role, prepended(first, chunks), destination);
    // One that has all that it wants may have gone already.
    if (!gone) await this.endOf(destination, role);
    await connection.ended();
  }

  private async endOf(destination: Destination, role: ChannelRole | undefined): Promise<void> {
    try {
      await destination.end();
    } catch (error) {
      // One that has loaded all may reset the connections, those of other channels also before it says so.
      if (role === "main" && (await this.tail.shut()) !== 0) throw error;
    }
  }

  private async forward(
    role: ChannelRole | undefined,
    chunks: AsyncGenerator<Uint8Array>,
    destination: Destination,
  ): Promise<void> {
    const { convert } = this.options;
    if (role === "multifd" && convert !== undefined) {
      throw new QevmError("unsupported", "pages come in multifd channels: they are not converted on their way", {
        expected: "a source without the capability multifd",
      });
    }
    const passing = role === "main" ? this.kept(chunks) : chunks;
    if (role === "main" && convert !== undefined) await this.convert(passing, destination, convert);
    else for await (const chunk of passing) await destination.write(chunk);
  }

  private async *kept(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.main.add(chunk);
      yield chunk;
    }
  }

  /** The main channel, written anew. Its end is seen in the bytes, since the source waits for the destination's word before it closes. */
  private async convert(
    chunks: AsyncGenerator<Uint8Array>,
    destination: Destination,
    options: NonNullable<RelayOptions["convert"]>,
  ): Promise<void> {
    const live = new StreamEnd(this.main);
    const source = new LiveSource(live);
    const fed = (async () => {
      for await (const chunk of chunks) {
        live.note(chunk.length);
        await source.feed(chunk);
      }
    })().finally(() => source.finish());
    fed.catch(() => {});
    try {
      const sink = { write: (chunk: Uint8Array) => destination.write(chunk) };
      this.converted = await convertStream(source, sink, { ...options, live }, systemFolder());
    } finally {
      source.finish();
    }
    const { length } = this.main;
    await fed;
    if (this.main.length > length) {
      throw new QevmError("bad-length", "the source went on behind the end of its stream", {
        offset: length,
        found: `${this.main.length - length} bytes`,
      });
    }
  }

  /** The chunks of a connection, written down as they come. */
  private async *noted(connection: Connection): AsyncGenerator<Uint8Array> {
    let channel: ChannelHead | undefined;
    try {
      for await (const chunk of connection.input as AsyncIterable<Uint8Array>) {
        channel ??= this.newChannel();
        this.note(channel, chunk);
        yield chunk;
      }
    } catch (error) {
      // A source that has heard that all is loaded may reset the connection.
      if ((await this.tail.shut()) === 0) return;
      const text = error instanceof Error ? error.message : String(error);
      throw new QevmError("io", `the source's connection: ${text}`, { cause: error });
    }
  }

  private answer({ output }: Connection, bytes: Uint8Array): void {
    this.answers ??= this.newChannel();
    this.note(this.answers, bytes);
    this.tail.note(bytes);
    if (output?.writable === true) output.write(bytes);
  }

  private newChannel(): ChannelHead {
    const { record } = this.options;
    const channel = record === undefined ? new ChannelHead() : new ChannelFile(record, this.channels.length);
    this.channels.push(channel);
    return channel;
  }

  private note(channel: ChannelHead, bytes: Uint8Array): void {
    this.sequence?.add(this.channels.indexOf(channel), channel.length, bytes.length);
    if (channel instanceof ChannelFile) channel.write(bytes);
    else channel.note(bytes);
  }

  /** All connections are over: so is the migration. Connections that wait to be accepted come first. */
  private ended(): void {
    this.open--;
    setTimeout(() => {
      if (this.open > 0) return;
      if (this.channels.some(({ role }) => role === "main")) this.settled?.resolve();
      else if (this.listening?.many === false)
        this.settled?.reject(new QevmError("truncated", "the source sent nothing that begins as a stream does"));
    }, 50);
  }

  /** Whether the last of the main channel is what a stream ends with. */
  private hasEnded(): boolean {
    const end = new StreamEnd(this.main);
    end.note(this.main.length);
    return end.isHere || end.mayBeHere;
  }

  private async settle(): Promise<Relayed> {
    const from = this.listening!.uri;
    const channels = channelNames(this.channels, this.answers);
    for (const [i, channel] of this.channels.entries()) {
      if (channel instanceof ChannelFile) channel.settle(channels[i]!.file);
    }
    this.sequence?.settle(
      channels.map(({ file }) => file),
      { received: from, sent: this.to },
    );
    const shut = await this.tail.shut();
    if (shut !== 0 && this.answers !== undefined) {
      const what =
        shut === undefined ? "the destination hung up before it had loaded all" : "the destination says that it failed";
      throw new QevmError("bad-value", what, {
        expected: "SHUT 0",
        found: shut === undefined ? "no SHUT" : `SHUT ${shut}`,
      });
    }
    if (shut !== 0 && !this.hasEnded()) {
      throw new QevmError("truncated", "the connections ended before the stream did", { offset: this.main.length });
    }
    const loaded = shut === 0 ? true : null;
    return { from, to: this.to, channels, converted: this.converted, loaded };
  }
}

/** Bytes that tell a main channel and a multifd channel from others. */
const TELLING = 4;

/** The first chunks, joined, until they tell what the channel is. */
async function telling(chunks: AsyncGenerator<Uint8Array>): Promise<Uint8Array> {
  let first: Uint8Array = new Uint8Array(0);
  while (first.length < TELLING) {
    const next = await chunks.next();
    if (next.done === true) break;
    first = first.length === 0 ? next.value : Buffer.concat([first, next.value]);
  }
  return first;
}

async function* prepended(first: Uint8Array, rest: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (first.length > 0) yield first;
  yield* rest;
}
