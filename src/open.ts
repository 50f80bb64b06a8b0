import {
  canOpenAgain,
  openingOf,
  openInput,
  readingOf,
  type OpenOptions,
  type StreamInput,
} from "./io/container/input.js";
import type { Container, Input } from "./io/container/types.js";
import { QevmError, type Warning } from "./bytes/errors.js";
import { StreamReader, type StreamItem } from "./codec/stream/index.js";
import type { DeviceState } from "./codec/vmstate/index.js";

/**
 * Opens a stream and reads its header and configuration. Containers are opened automatically (libvirt, qcow2, gzip, ...), as
 * the commands do.
 * Errors: io; usage (a path where there is no Node); those of containers and of `StreamReader`, with byte offset and
 * path.
 * @example
 * const stream = await openStream("vm.mig");
 * for await (const item of stream) console.log(item.kind, item.offset);
 * console.log(stream.machine, stream.complete);
 */
export async function openStream(input: StreamInput, options: OpenOptions = {}): Promise<Stream> {
  const source = await openInput(input, openingOf(options));
  try {
    return await Stream.begin(input, source, options);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

/**
 * An open stream: iterate it once; its items are those of `StreamReader`. Close it if it is not iterated; once more
 * does no harm.
 * @example
 * const stream = await openStream(bytes, { lenient: true });
 * const cpu = await stream.device("cpu");
 * console.log(cpu.fields["env.eip"], stream.warnings);
 * await stream.close();
 */
export class Stream implements AsyncIterable<StreamItem> {
  private readonly devices: DeviceState[] = [];
  private ended = false;
  private iterated = false;
  private closing: Promise<void> | undefined;

  private constructor(
    private readonly input: StreamInput,
    private readonly source: Input,
    private readonly reader: StreamReader,
    private readonly first: IteratorResult<StreamItem>[],
    private readonly items: AsyncIterator<StreamItem>,
    private readonly options: OpenOptions,
  ) {}

  /** @internal */
  static async begin(input: StreamInput, source: Input, options: OpenOptions): Promise<Stream> {
    const reader = new StreamReader(source, readingOf(options));
    const items = reader[Symbol.asyncIterator]();
    // The header, and the configuration where there is one; the item after it is not consumed before it is asked for.
    const first = [await items.next(), await items.next()];
    return new Stream(input, source, reader, first, items, options);
  }

  /**
   * Machine type, for example "pc-i440fx-7.2"; undefined where the stream has no configuration (machine types up to
   * 2.3).
   */
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

  /** The containers of the stream, from the outside in. */
  get containers(): readonly Container[] {
    return this.source.containers;
  }

  /** The stream was read to its EOF. */
  get complete(): boolean {
    return this.reader.complete;
  }

  /** Skipped errors (`lenient`), and warnings. */
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
   * The state of a device by its section's name: `fields` as typed values (64-bit ones are bigints), `subsections` by
   * theirs. Reads a path or bytes again as far as needed; of other inputs only what was iterated is known.
   * Errors: unknown-reference where there is no such device; usage where it cannot be known yet.
   */
  async device(name: string, instanceId = 0): Promise<DeviceState> {
    const here = this.find(name, instanceId);
    if (here !== undefined) return here;
    if (!this.ended) {
      if (!canOpenAgain(this.input)) {
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
