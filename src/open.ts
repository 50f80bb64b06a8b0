import { startingAt } from "./io/container/sources.js";
import type { Container, Input } from "./io/container/types.js";
import { QevmError, type Warning } from "./bytes/errors.js";
import { IterableSource, MemorySource, type ByteSource } from "./bytes/index.js";
import { StreamReader, type StreamItem, type StreamOptions } from "./codec/stream/index.js";
import type { DeviceState } from "./codec/vmstate/index.js";

/** What a stream can come from: a path (Node only), bytes, chunks of bytes (Node and web streams, sockets), or a source of one's own. */
export type StreamInput = string | Uint8Array | AsyncIterable<Uint8Array> | ReadableStream<Uint8Array> | ByteSource;

export interface OpenOptions extends Omit<StreamOptions, "offset"> {
  /**
   * Where the stream begins in the input, in bytes (`migrate file:F,offset=N`). Default: in Node it is looked for in the first MiB,
   * elsewhere it is 0.
   */
  offset?: number | undefined;
  /** Which snapshot of a qcow2 image, by name or id. */
  snapshot?: string | undefined;
}

/**
 * Opens a stream and reads its header and configuration. In Node containers are seen through (libvirt, qcow2, gzip, ...), as the commands do;
 * elsewhere the input is the bare stream.
 * Errors: io; usage (a path where there is no Node); those of containers and of `StreamReader`, with byte offset and path.
 */
export async function openStream(input: StreamInput, options: OpenOptions = {}): Promise<Stream> {
  const source = await sourceOf(input, options);
  try {
    return await Stream.begin(input, source, options);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

/** An open stream: iterate it once; its items are those of `StreamReader`. Close it where it is not iterated; once more does no harm. */
export class Stream implements AsyncIterable<StreamItem> {
  private readonly devices: DeviceState[] = [];
  private ended = false;
  private iterated = false;
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly input: StreamInput,
    private readonly source: ByteSource & Partial<Input>,
    private readonly reader: StreamReader,
    private readonly first: IteratorResult<StreamItem>[],
    private readonly items: AsyncIterator<StreamItem>,
    private readonly options: OpenOptions,
  ) {}

  /** @internal */
  static async begin(input: StreamInput, source: ByteSource, options: OpenOptions): Promise<Stream> {
    const reader = new StreamReader(source, streamOf(options));
    const items = reader[Symbol.asyncIterator]();
    // The header, and the configuration where there is one; the item behind it is not consumed before it is asked for.
    const first = [await items.next(), await items.next()];
    return new Stream(input, source, reader, first, items, options);
  }

  /** Machine type, for example "pc-i440fx-7.2"; undefined where the stream has no configuration (machine types up to 2.3). */
  get machine(): string | undefined {
    return this.reader.machine;
  }

  /** Capabilities that the configuration announces. */
  get capabilities(): string[] {
    return this.reader.capabilities;
  }

  /** Target page size in bytes. */
  get pageSize(): number {
    return this.reader.ram.pageSize;
  }

  /** What the stream is wrapped in, from the outside in. */
  get containers(): readonly Container[] {
    return this.source.containers ?? [];
  }

  /** The stream was read to its EOF. */
  get complete(): boolean {
    return this.reader.complete;
  }

  /** What was passed over (`lenient`), and what was noticed. */
  get warnings(): readonly Warning[] {
    return this.reader.diagnostics.warnings;
  }

  /** Errors: usage (iterated or closed before), and as `StreamReader`. */
  async *[Symbol.asyncIterator](): AsyncGenerator<StreamItem> {
    if (this.iterated) throw new QevmError("usage", "a stream can be iterated once: open it again");
    if (this.closing !== undefined) throw new QevmError("usage", "the stream was closed: open it again");
    this.iterated = true;
    try {
      for (;;) {
        const next = this.first.shift() ?? (await this.items.next());
        if (next.done === true) break;
        const item = next.value;
        if (item.kind === "section" && item.content.kind === "device") this.devices.push(item.content.state);
        yield item;
      }
      this.ended = true;
    } finally {
      await this.close();
    }
  }

  /**
   * The state of a device by its section's name: `fields` as typed values (64-bit ones are bigints), `subsections` by theirs. Reads a path or bytes anew as far as needed; of
   * other inputs it knows what was iterated.
   * Errors: unknown-reference where there is no such device; usage where it cannot be known yet.
   */
  async device(name: string, instanceId = 0): Promise<DeviceState> {
    const here = this.find(name, instanceId);
    if (here !== undefined) return here;
    if (!this.ended) {
      if (typeof this.input !== "string" && !(this.input instanceof Uint8Array)) {
        throw new QevmError("usage", "this input can be read once: iterate it before asking for a device");
      }
      const again = await openStream(this.input, this.options);
      for await (const item of again) {
        if (item.kind !== "section" || item.content.kind !== "device") continue;
        if (item.idstr === name && item.instanceId === instanceId) return item.content.state;
      }
    }
    throw new QevmError("unknown-reference", "no such device", {
      found: `${JSON.stringify(name)}, instance ${instanceId}`,
    });
  }

  /** Lets go of the input. */
  close(): Promise<void> {
    this.closing ??= Promise.resolve(this.source.close?.());
    return this.closing;
  }

  private find(name: string, instanceId: number): DeviceState | undefined {
    return this.devices.find(({ description: d }) => d.name === name && d.instanceId === instanceId);
  }
}

const inNode = globalThis.process?.versions?.node !== undefined;

async function sourceOf(input: StreamInput, options: OpenOptions): Promise<ByteSource> {
  const { snapshot, offset } = options;
  const stream = streamOf(options);
  const how = { snapshot, offset, unfinished: options.lenient ?? false, stream };
  if (typeof input === "string") {
    if (!inNode)
      throw new QevmError("usage", "a path can be opened in Node only: bytes or chunks can be opened anywhere");
    const { openInput } = await import("./io/container/open.js");
    return await openInput(input, how);
  }
  const source = bytesOf(input);
  if (!inNode) return await startingAt(source, offset ?? 0);
  const { openContainers } = await import("./io/container/open.js");
  return await openContainers(source, how);
}

/** The options of the reader: its offset is the source's. */
function streamOf(options: OpenOptions): StreamOptions {
  const { snapshot: _, offset: _offset, ...stream } = options;
  return stream;
}

function bytesOf(input: Exclude<StreamInput, string>): ByteSource {
  if (input instanceof Uint8Array) return new MemorySource(input);
  if ("read" in input && typeof input.read === "function" && !(Symbol.asyncIterator in input)) return input;
  if ("getReader" in input) return new IterableSource(chunksOf(input));
  return new IterableSource(input as AsyncIterable<Uint8Array>);
}

/** Browsers iterate web streams only lately. */
async function* chunksOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel();
  }
}
