import type * as NodeZlib from "node:zlib";
import { handleOf, type NodeHandle, type OpenedStream } from "./node-handle.js";
import { MOST_INPUT, PIECE, zstdError, type ZstdDecoder } from "./zstd-decoder.js";

/** What Node's zlib has of zstd from 22.15 and 23.8 on. */
interface WithZstd {
  createZstdDecompress?(options: { params: Record<number, number> }): unknown;
  readonly constants: { ZSTD_d_windowLogMax?: number; ZSTD_e_continue?: number };
}

/** The decoder inside Node's stream. */
interface Handle extends NodeHandle {
  /** Called inside `writeSync`. */
  onerror: (message: string, code: number) => void;
}

interface Opened {
  /** Owns the handle. */
  stream: { close?(): void };
  handle: Handle;
  left: Uint32Array;
}

/** `--long=31`, zstd's largest window: 2 GiB. */
const WINDOW_LOG = 31;

/** The decoder of Node's own zstd library. Memory: the window, native, and 128 KiB. */
export class NativeZstdDecoder implements ZstdDecoder {
  readonly largestWindow = 2 ** WINDOW_LOG;
  private readonly output = new Uint8Array(PIECE);
  private failed = 0;

  private opened: Opened;

  private constructor(
    private readonly open: () => Opened | undefined,
    private readonly flush: number,
    first: Opened,
  ) {
    this.opened = first;
    this.watch();
  }

  /** Undefined where Node has no zstd, or not in the known shape (22.15 to 24). */
  static create(): NativeZstdDecoder | undefined {
    const zlib = globalThis.process?.getBuiltinModule?.("node:zlib") as (typeof NodeZlib & WithZstd) | undefined;
    if (zlib?.createZstdDecompress === undefined) return undefined;
    const { ZSTD_d_windowLogMax: log, ZSTD_e_continue: flush } = zlib.constants as WithZstd["constants"];
    if (log === undefined || flush === undefined) return undefined;
    const params = { [log]: WINDOW_LOG };
    const open = (): Opened | undefined => {
      const stream = zlib.createZstdDecompress!({ params }) as OpenedStream<Handle> & Opened["stream"];
      const found = handleOf(stream, "onerror");
      return found && { stream, ...found };
    };
    const first = open();
    return first === undefined ? undefined : new NativeZstdDecoder(open, flush, first);
  }

  /** The handle's own `reset` forgets the largest window. */
  reset(): void {
    this.opened.stream.close?.();
    this.opened = this.open()!;
    this.watch();
  }

  *push(bytes: Uint8Array): Generator<Uint8Array, void> {
    if (bytes.length > MOST_INPUT) throw new RangeError(`${bytes.length} bytes at a time`);
    const { output, flush } = this;
    const { handle, left } = this.opened;
    for (let taken = 0, filled = PIECE; taken < bytes.length || filled === PIECE;) {
      handle.writeSync(flush, bytes, taken, bytes.length - taken, output, 0, PIECE);
      if (this.failed !== 0) throw zstdError(this.failed);
      filled = PIECE - left[0]!;
      taken = bytes.length - left[1]!;
      if (filled > 0) yield output.subarray(0, filled);
    }
  }

  /** Without this an error would close the stream at some later time. */
  private watch(): void {
    this.failed = 0;
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- a handle of Node's, not an event target
    this.opened.handle.onerror = (_, code) => {
      this.failed = Math.abs(code);
    };
  }
}
