import type { QemuFileReader } from "../../../bytes/reader.js";

/** xz-embedded's code for an unsupported header (SHA-256, the x86 filter); a damaged header has another code. */
const OPTIONS = 6;
/** Its code for input that ends although the decoder needs more. */
const NO_INPUT = 8;
const OK = 0;
const STREAM_END = 1;

/** The exports of the package's WebAssembly. A context is a decoder with an input and an output buffer. */
interface Exports {
  memory: WebAssembly.Memory;
  create_context(): number;
  supply_input(context: number, length: number): void;
  get_next_output(context: number): number;
}

/** The parts of the package's class that instantiate its WebAssembly. */
interface XzBundle {
  XzReadableStream: {
    _getModuleInstance(): Promise<void>;
    _moduleInstance: { exports: unknown };
  };
}

/** Instances are made one at a time, because the package stores each in the same static property. */
let making: Promise<unknown> = Promise.resolve();

async function makeInstance(): Promise<Exports> {
  // A CommonJS bundle: Node exposes its names under `default`, contrary to its types.
  const bundle = (await import("xz-decompress")) as unknown as XzBundle & { default?: XzBundle };
  const { XzReadableStream } = bundle.default ?? bundle;
  const made = making.then(async () => {
    await XzReadableStream._getModuleInstance();
    return XzReadableStream._moduleInstance.exports as Exports;
  });
  making = made.catch(() => undefined);
  return await made;
}

/**
 * xz by `xz-decompress` (xz-embedded compiled to WebAssembly), which checks CRC-32 and CRC-64. It uses the dictionary
 * size of the file (8 MiB for `xz -6`), in WebAssembly memory. Each file has its own instance: the package's stream
 * class allows only one open file at a time, and contexts in one growing memory would invalidate each other. Errors:
 * truncated, bad-compressed-data, unsupported, at most 64 KiB after the damage.
 */
export async function* unxz(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  const context = new Context(await makeInstance());
  for (;;) {
    if (context.wantsInput) {
      // Empty input tells the decoder that the file has ended.
      await reader.fill(1);
      context.supply(reader.view(Math.min(reader.available, context.size)));
    }
    const { status, bytes } = context.next();
    if (bytes.length > 0) yield bytes;
    if (status !== OK && status !== STREAM_END) throw refusal(reader, status);
    if (status === STREAM_END) return;
  }
}

function refusal(reader: QemuFileReader, status: number): Error {
  if (status === OPTIONS) {
    return reader.error("unsupported", "xz with a filter or check beyond LZMA2 and CRC: decompress it first");
  }
  if (reader.atEnd && status === NO_INPUT) return reader.error("truncated", "xz: unexpected end of file");
  return reader.error("bad-compressed-data", `xz: error ${status} of the decoder`);
}

/**
 * The fields of a context in WebAssembly memory: u32 buffer size, then input address, position and size, then output
 * address and position. Source: xz-decompress 0.2.3.
 */
class Context {
  readonly size: number;
  private readonly at: number;
  private readonly input: number;
  private readonly output: number;

  constructor(private readonly exports: Exports) {
    this.at = exports.create_context();
    this.size = this.word(0);
    this.input = this.word(1);
    this.output = this.word(4);
  }

  get wantsInput(): boolean {
    return this.word(2) === this.word(3);
  }

  /** At most `size` bytes. */
  supply(bytes: Uint8Array): void {
    new Uint8Array(this.exports.memory.buffer, this.input, this.size).set(bytes);
    this.exports.supply_input(this.at, bytes.length);
  }

  next(): { status: number; bytes: Uint8Array } {
    const status = this.exports.get_next_output(this.at);
    const { buffer } = this.exports.memory;
    const bytes = new Uint8Array(buffer, this.output, this.word(5)).slice();
    new DataView(buffer).setUint32(this.at + 4 * 5, 0, true);
    return { status, bytes };
  }

  /** Makes a new view each time, because the memory may have grown. */
  private word(index: number): number {
    return new DataView(this.exports.memory.buffer).getUint32(this.at + 4 * index, true);
  }
}
