/** The one way from what a caller has to a source of the stream's bytes. */
import { QevmError } from "../../bytes/errors.js";
import { BlobSource } from "../../bytes/blob-source.js";
import { IterableSource, MemorySource, type ByteSource } from "../../bytes/source.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import { isRecordedFiles, type RecordedFiles } from "./is-recorded.js";
import type { Input, InputOptions } from "./types.js";

/**
 * What a stream can come from; every function that reads a stream takes all of these.
 *
 * - a path (Node only; `-` is standard input, a folder is a recording)
 * - the files of a recording, {@link RecordedFiles}
 * - the bytes, as a `Uint8Array`, or a `Blob` or `File`
 * - chunks of bytes: a Node or web stream, a socket, the body of a response
 * - a {@link ByteSource} of one's own, or an `Input` that `openInput` returned
 */
export type StreamInput =
  string | RecordedFiles | Uint8Array | Blob | AsyncIterable<Uint8Array> | ReadableStream<Uint8Array> | ByteSource;

/** How a stream is opened and read, for every function that takes a {@link StreamInput}. */
export interface OpenOptions extends Omit<StreamOptions, "offset"> {
  /**
   * Where the stream begins in the input, in bytes (`migrate file:F,offset=N`). Default: it is looked for in the first
   * MiB.
   */
  offset?: number | undefined;
  /** Which snapshot of a qcow2 image, by name or id. */
  snapshot?: string | undefined;
}

/** Options without those that say where in the input the stream is. */
export type ReadingOf<O extends OpenOptions> = Omit<O, "offset" | "snapshot">;

/** For a file that is not finished, or a recording that is not complete, which is opened all the same. */
type AsItIs = Pick<InputOptions, "unfinished" | "incomplete">;

const inNode = globalThis.process?.versions?.node !== undefined;

/** Whether an input can be opened a second time, to be read from its first byte again. */
export function canOpenAgain(input: StreamInput): input is string | RecordedFiles | Uint8Array | Blob {
  return typeof input === "string" || input instanceof Uint8Array || isBlob(input) || isRecordedFiles(input);
}

/** Whether an input is a source already: its maker closes it. */
export function isSource(input: StreamInput): input is ByteSource {
  if (canOpenAgain(input) || typeof input !== "object" || input === null) return false;
  return "read" in input && typeof input.read === "function" && !(Symbol.asyncIterator in input);
}

/** The bytes of an input that is one file and not a path, as they are. Errors: usage, where it is none of {@link StreamInput}. */
export function sourceOf(input: Exclude<StreamInput, string | RecordedFiles>): ByteSource {
  if (input instanceof Uint8Array) return new MemorySource(input);
  if (isSource(input)) return input;
  if (isBlob(input)) return new BlobSource(input);
  if (typeof input === "object" && input !== null) {
    if ("getReader" in input) return new IterableSource(chunksOf(input));
    if (Symbol.asyncIterator in input) return new IterableSource(input);
  }
  throw new QevmError("usage", "a stream is opened from a path, bytes, a Blob, chunks of bytes or a source");
}

/**
 * Opens whatever a stream can come from, and takes off what it is wrapped in (libvirt, qcow2, gzip, ...). An `Input` is
 * returned as it is. `close` of the result closes a source that was
 * given, too.
 * Errors: io; usage (a path where there is no Node, a snapshot of what is not qcow2); those of the containers' headers.
 */
export async function openInput(input: StreamInput, options: InputOptions = {}): Promise<Input> {
  if (typeof input === "string") {
    if (!inNode)
      throw new QevmError("usage", "a path can be opened in Node only: bytes or chunks can be opened anywhere");
    const { openPath } = await import("./open-path.js");
    return await openPath(input, options);
  }
  if (isRecordedFiles(input)) {
    const { openFiles } = await import("./open-files.js");
    return await openFiles(input, options);
  }
  const source = sourceOf(input);
  if (isOpened(source)) return source;
  try {
    const { openContainers } = await import("./open.js");
    return await openContainers(source, options);
  } catch (error) {
    if (source !== input) await source.close?.();
    throw error;
  }
}

/** Options of a reader as those of `openInput`. */
export function openingOf(options: OpenOptions, more: AsItIs = {}): InputOptions {
  const { snapshot, offset, ...stream } = options;
  return { snapshot, offset, unfinished: options.lenient ?? false, stream, ...more };
}

/** The options of the reader: where the stream begins is known to the source. */
export function readingOf<O extends OpenOptions>(options: O): ReadingOf<O> {
  const { snapshot: _, offset: _offset, ...reading } = options;
  return reading;
}

/**
 * Does something with the stream of an input and closes what was opened for it: a source that was given stays open.
 * Errors: as `openInput`, and those of the work.
 */
export async function withInput<T, O extends OpenOptions>(
  input: StreamInput,
  options: O,
  work: (source: Input, reading: ReadingOf<O>) => Promise<T>,
  more: AsItIs = {},
): Promise<T> {
  const opened = await openInput(input, openingOf(options, more));
  try {
    return await work(opened, readingOf(options));
  } finally {
    if (!isSource(input)) await opened.close?.();
  }
}

function isOpened(source: ByteSource): source is Input {
  return source.containers !== undefined;
}

function isBlob(input: unknown): input is Blob {
  if (typeof input !== "object" || input === null) return false;
  return "size" in input && "slice" in input && "arrayBuffer" in input && typeof input.arrayBuffer === "function";
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
