import { QevmError } from "../errors.js";
import type { ChannelRole } from "../recording/index.js";
import { openListener, type Connection, type Listening } from "../transport/listen-uri.js";
import { ChannelFile, channelNames, Sequence } from "./channel-files.js";
import { LiveMain, type LiveOptions } from "./live-main.js";

/** What was received. */
export interface Received {
  /** Where it was listened. */
  uri: string;
  /** In the order of the connections; the return path last. */
  channels: { file: string; role: ChannelRole; bytes: number }[];
  /** The source asked for answers and got them. */
  returnPath: boolean;
  /** Bytes of all channels. */
  bytes: number;
}

export interface ReceiveOptions extends LiveOptions {
  /** Called when a source can connect, with the URI by which it does. */
  onListening?: (uri: string) => void;
}

/**
 * Waits for one migration and writes every channel of it into a folder that exists and is empty: `main.bin`, `multifd-N.bin`, `preempt.bin`,
 * `return-path.bin`, `recording.json`. Answers the return path as a destination does, so that the source completes. Errors: usage, io; truncated
 * where the source hangs up early; whatever a broken stream is refused for. The caller removes the folder then.
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
  private readonly files: ChannelFile[] = [];
  private readonly sequence: Sequence;
  private readonly connections: Connection[] = [];
  private listening: Listening | undefined;
  private main: LiveMain | undefined;
  private answers: ChannelFile | undefined;
  private open = 0;
  private settled: { resolve: () => void; reject: (error: unknown) => void } | undefined;

  constructor(
    private readonly folder: string,
    private readonly options: ReceiveOptions,
  ) {
    this.sequence = new Sequence(folder, "recording.json");
  }

  async run(uri: string): Promise<Received> {
    const over = new Promise<void>((resolve, reject) => {
      this.settled = { resolve, reject };
    });
    over.catch(() => undefined);
    this.listening = await openListener(uri, (connection) => this.take(connection));
    this.options.onListening?.(this.listening.uri);
    await over;
    for (const { output } of this.connections) output?.end();
    return this.settle();
  }

  close(): void {
    this.listening?.close();
    for (const connection of this.connections) connection.destroy();
    for (const file of this.files) file.close();
    this.sequence.close();
  }

  private take(connection: Connection): void {
    this.connections.push(connection);
    this.open++;
    // Who does not want to hear the answers is not made to.
    connection.output?.on("error", () => undefined);
    this.channel(connection).then(
      () => this.ended(),
      (error: unknown) => this.settled?.reject(error),
    );
  }

  /** One connection from its first byte to its last. */
  private async channel(connection: Connection): Promise<void> {
    let file: ChannelFile | undefined;
    let main: LiveMain | undefined;
    try {
      for await (const chunk of connection.input as AsyncIterable<Uint8Array>) {
        file ??= this.newFile();
        this.sequence.add(file.index, file.length, chunk.length);
        file.write(chunk);
        if (main === undefined && this.main === undefined && file.length >= 4 && file.role === "main") {
          main = this.follow(file, connection);
          await main.feed(file.tail(file.length));
        } else {
          await main?.feed(chunk);
        }
      }
    } catch (error) {
      // A source that is done may reset the connection whose answers it no longer reads.
      if (main?.complete !== true) throw failed(error);
    }
    main?.end();
    await main?.done;
    await connection.ended();
    if (file !== undefined && file.role === undefined) {
      throw new QevmError("bad-magic", "a connection that begins as no channel of a migration does", { offset: 0 });
    }
  }

  private follow(file: ChannelFile, connection: Connection): LiveMain {
    const main = new LiveMain(file, (bytes) => this.answer(connection, bytes), this.options);
    this.main = main;
    // A broken stream ends the work at once.
    void main.done.then(() => {
      if (main.failure !== undefined) this.settled?.reject(main.failure);
    });
    return main;
  }

  /** All connections are over: so is the migration, once its main channel is. */
  private ended(): void {
    this.open--;
    if (this.open > 0) return;
    // Connections that wait to be accepted come first.
    setTimeout(() => {
      if (this.open > 0 || this.main === undefined) {
        if (this.listening?.many !== false) return;
        this.settled?.reject(new QevmError("truncated", "the source sent nothing that begins as a stream does"));
        return;
      }
      this.settled?.resolve();
    }, 50);
  }

  private answer({ output }: Connection, bytes: Uint8Array): void {
    if (output === undefined || output.destroyed || !output.writable) return;
    this.answers ??= this.newFile();
    this.sequence.add(this.answers.index, this.answers.length, bytes.length);
    this.answers.write(bytes);
    output.write(bytes);
  }

  private newFile(): ChannelFile {
    const file = new ChannelFile(this.folder, this.files.length);
    this.files.push(file);
    return file;
  }

  private settle(): Received {
    const channels = channelNames(this.files, this.answers);
    for (const [i, { file }] of channels.entries()) this.files[i]!.settle(file);
    const uri = this.listening!.uri;
    this.sequence.settle(
      channels.map(({ file }) => file),
      { received: uri },
    );
    const bytes = channels.reduce((sum, channel) => sum + channel.bytes, 0);
    return { uri, channels, returnPath: this.main?.returnPath ?? false, bytes };
  }
}

function failed(error: unknown): QevmError {
  if (error instanceof QevmError) return error;
  const text = error instanceof Error ? error.message : String(error);
  return new QevmError("io", `the source's connection: ${text}`, { cause: error });
}
