import { handleOf, type NodeHandle, type OpenedStream } from "./node-handle.js";
import type * as NodeZlib from "node:zlib";
import { QevmError } from "../bytes/errors.js";
import { ExactInflater } from "./exact.js";
import {
  checkOptions,
  checkPage,
  payloadBound,
  type DeflateBatch,
  type EngineOptions,
  type InflateBatch,
  type PageDeflater,
  type PageInflater,
} from "./page-engine.js";
import { PlainDeflateBatch, PlainInflateBatch } from "./plain-batch.js";

const NO_ZLIB = "the fast engine needs node:zlib, which is not here: use the exact or the page engine";

/** node:zlib, loaded at run time so that bundlers for the browser do not see its name. */
function nodeZlib(): typeof NodeZlib {
  const zlib = globalThis.process?.getBuiltinModule?.("node:zlib") as typeof NodeZlib | undefined;
  if (zlib === undefined) throw new QevmError("unsupported", NO_ZLIB);
  return zlib;
}

/**
 * The zlib state inside a Node stream. Node has no public call that resets a state without closing it. So the internal
 * handle is used where it has the known shape (Node 20 to 24), and the public one-shot calls otherwise: same bytes, at
 * 0.8 to 0.9 of the speed.
 */
interface ZlibState extends NodeHandle {
  reset(): void;
}

interface ZlibStream extends OpenedStream<ZlibState> {
  on(event: "error", listener: (error: unknown) => void): unknown;
}

class KeptState {
  private failed = false;
  private constructor(
    private readonly stream: ZlibStream,
    private readonly state: ZlibState,
    private readonly left: Uint32Array,
  ) {
    // Damaged input is reported as an event, emitted synchronously inside writeSync.
    stream.on("error", () => {
      this.failed = true;
    });
  }

  static of(stream: unknown): KeptState | undefined {
    const opened = stream as ZlibStream;
    const found = handleOf(opened, "reset");
    return found === undefined ? undefined : new KeptState(opened, found.handle, found.left);
  }

  /** One finishing call. Returns the remaining output space; undefined where it failed or input remains. */
  write(finish: number, input: Uint8Array, output: Uint8Array): number | undefined {
    if (this.failed) return undefined;
    this.state.reset();
    this.state.writeSync(finish, input, 0, input.length, output, 0, output.length);
    // After a failure Node closes the stream in the next tick, so this state cannot be used again.
    if (this.failed || this.stream._handle !== this.state) return undefined;
    return this.left[1] === 0 ? this.left[0] : undefined;
  }
}

/** Deflate by node:zlib. Any decoder reads it, but it is Chromium's zlib, whose bytes differ from QEMU's. */
export class FastDeflater implements PageDeflater {
  readonly kind = "fast";
  readonly level: number;
  readonly pageSize: number;
  private readonly zlib = nodeZlib();
  private readonly kept: KeptState | undefined;
  private readonly output: Uint8Array;

  constructor(options: EngineOptions = {}) {
    const { level, pageSize } = checkOptions(options);
    this.level = level;
    this.pageSize = pageSize;
    this.output = new Uint8Array(payloadBound(pageSize));
    this.kept = KeptState.of(this.zlib.createDeflate({ level }));
  }

  deflate(page: Uint8Array): Uint8Array {
    checkPage(page, this.pageSize);
    const left = this.kept?.write(this.zlib.constants.Z_FINISH, page, this.output);
    if (left !== undefined) return this.output.subarray(0, this.output.length - left);
    return this.zlib.deflateSync(page, { level: this.level });
  }

  batch(capacity: number): DeflateBatch {
    return new PlainDeflateBatch(this, capacity);
  }
}

/** Inflate by node:zlib. A payload that it refuses goes to pako for the error message. */
export class FastInflater implements PageInflater {
  readonly kind = "fast";
  readonly pageSize: number;
  produced = 0;
  private readonly zlib = nodeZlib();
  private readonly exact: ExactInflater;
  private kept: KeptState | undefined;
  /** One byte longer than a page, to detect a stream that is too long. */
  private readonly output: Uint8Array;

  constructor(options: EngineOptions = {}) {
    this.pageSize = checkOptions(options).pageSize;
    this.exact = new ExactInflater(options);
    this.output = new Uint8Array(this.pageSize + 1);
    this.kept = KeptState.of(this.zlib.createInflate());
  }

  inflate(payload: Uint8Array, into: Uint8Array): void {
    checkPage(into, this.pageSize);
    const left = this.kept?.write(this.zlib.constants.Z_FINISH, payload, this.output);
    if (left === 1) {
      into.set(this.output.subarray(0, this.pageSize));
      this.produced = this.pageSize;
      return;
    }
    try {
      this.exact.inflate(payload, into);
    } finally {
      this.produced = this.exact.produced;
      if (this.kept !== undefined) this.kept = KeptState.of(this.zlib.createInflate());
    }
  }

  batch(capacity: number): InflateBatch {
    return new PlainInflateBatch(this, capacity);
  }
}
