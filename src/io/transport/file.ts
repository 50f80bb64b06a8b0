import { closeSync, constants, fstatSync, ftruncateSync, openSync, read, readSync, statSync, writeSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { QevmError } from "../../bytes/errors.js";
import { IterableSource, type ByteSink, type ByteSource } from "../../bytes/source.js";
import { attempt, textOf, writeAll } from "./attempt.js";
import { openBelow } from "./below.js";
import { Turns } from "./turns.js";
import { temporaryFile } from "./temporary.js";
import { awaitsSignals } from "./unfinished.js";
import { moveInto, outputPlace, type OutputPlace } from "./output-place.js";

export { attempt } from "./attempt.js";

/**
 * A file as a source. Reads are synchronous, which is the fastest way in Node for one thread; the codecs read a
 * megabyte at a time, and let another thread read beside this one (`src/bytes/read-ahead.ts`).
 */
export class FileSource implements ByteSource {
  readonly length: number | undefined;
  /** Regular files only, and only with two cores: see {@link ByteSource.readAhead}. */
  readonly readAhead: ByteSource["readAhead"];
  /** As `readAhead`: see {@link ByteSource.readBeside}. */
  readonly readBeside: ByteSource["readBeside"];
  /** Regular files only: see {@link ByteSource.openFile}. */
  readonly openFile: ByteSource["openFile"];
  private position = 0;
  /** Settles when no other thread is reading. */
  private underWay: Promise<unknown> | undefined;
  private closed = false;

  private constructor(
    readonly path: string,
    readonly fd: number,
  ) {
    const stat = fstatSync(fd);
    this.length = stat.isFile() ? stat.size : undefined;
    this.openFile = stat.isFile() ? { path, fd } : undefined;
    if (!stat.isFile() || availableParallelism() < 2) return;
    this.readAhead = (position, into) => this.readAside(position, into);
    this.readBeside = (position, into) => this.readAt(position, into);
  }

  /** Opens a regular file or block device. Errors: io. */
  static open(path: string): FileSource {
    const fd = attempt(path, () => openSync(path, "r"));
    const stat = fstatSync(fd);
    if (stat.isDirectory()) {
      closeSync(fd);
      throw new QevmError("io", `${path} is a folder`);
    }
    return new FileSource(path, fd);
  }

  /** Opens a plain file in an untrusted folder. Errors: as `openBelow`. */
  static below(folder: string, file: string): FileSource {
    return new FileSource(join(folder, file), openBelow(folder, file));
  }

  /** A file that another thread has open, and closes. */
  static shared({ path, fd }: NonNullable<ByteSource["openFile"]>): FileSource {
    return new FileSource(path, fd);
  }

  read(into: Uint8Array): number {
    this.checkOpen();
    const n = attempt(this.path, () => readSync(this.fd, into, 0, into.length, this.seekable ? this.position : null));
    this.position += n;
    return n;
  }

  readAt(position: number, into: Uint8Array): number {
    this.checkOpen();
    return attempt(this.path, () => readSync(this.fd, into, 0, into.length, position));
  }

  seek(position: number): void {
    this.position = position;
  }

  /**
   * Closes the descriptor once, after a read in progress. Later calls do nothing, because the descriptor may have been
   * reused.
   */
  close(): void {
    const { fd, underWay, closed } = this;
    if (closed) return;
    this.closed = true;
    if (underWay === undefined) closeSync(fd);
    else void underWay.then(() => closeSync(fd));
  }

  /** Errors: io. */
  private checkOpen(): void {
    if (this.closed) throw new QevmError("io", `${this.path} was closed`);
  }

  private readAside(position: number, into: Uint8Array): Promise<number> {
    this.checkOpen();
    const answer = new Promise<number>((resolve, reject) => {
      read(this.fd, into, 0, into.length, position, (error, n) => {
        if (error === null) resolve(n);
        else reject(new QevmError("io", `${this.path}: ${textOf(error)}`, { cause: error }));
      });
    });
    const settled = answer.then(
      () => {},
      () => {},
    );
    this.underWay = settled;
    void settled.then(() => {
      if (this.underWay === settled) this.underWay = undefined;
    });
    return answer;
  }

  /** Whether `readAt` and `seek` may be used: true for regular files. */
  get seekable(): boolean {
    return this.length !== undefined;
  }
}

/**
 * A pipe, terminal or the like as a source. Its bytes may take long to arrive. While signals are handled, another
 * thread waits for them, which is slower for each 64 KiB of a pipe. Node's stream is used where the descriptor is
 * non-blocking.
 */
class PipeSource implements ByteSource {
  private stream: IterableSource | undefined;
  private closed = false;

  constructor(
    private readonly name: string,
    private readonly fd: number,
  ) {}

  read(into: Uint8Array): number | Promise<number> {
    if (this.closed) throw new QevmError("io", `${this.name} was closed`);
    if (this.stream !== undefined) return this.stream.read(into);
    if (awaitsSignals()) return readAsync(this.fd, into).catch((error: unknown) => this.otherwise(error, into));
    try {
      return readSync(this.fd, into, 0, into.length, null);
    } catch (error) {
      return this.otherwise(error, into);
    }
  }

  private otherwise(error: unknown, into: Uint8Array): number | Promise<number> {
    const code = codeOf(error);
    if (code === "EOF") return 0;
    if (code !== "EAGAIN" || this.fd !== 0) {
      throw new QevmError("io", `${this.name}: ${textOf(error)}`, { cause: error });
    }
    this.stream = new IterableSource(process.stdin as AsyncIterable<Uint8Array>);
    return this.stream.read(into);
  }

  /** Closes once, like `FileSource`. */
  close(): void {
    if (this.fd !== 0 && !this.closed) closeSync(this.fd);
    this.closed = true;
  }
}

const readLater = promisify(read);

/** Pipes that a thread waits for. */
const waited = new Set<number>();

async function readAsync(fd: number, into: Uint8Array): Promise<number> {
  if (waited.size === 0) process.on("exit", wakeAll);
  waited.add(fd);
  try {
    const { bytesRead } = await readLater(fd, into, 0, into.length, null);
    return bytesRead;
  } finally {
    waited.delete(fd);
    if (waited.size === 0) process.off("exit", wakeAll);
  }
}

/**
 * The process cannot end while one of its threads waits for a pipe, and the writer may stay silent for ever. A byte of
 * our own, which is not read, ends that wait. Where that is not possible (a socket, a terminal, not Linux) SIGKILL ends
 * the process: everything else has been done by now.
 */
function wakeAll(): void {
  for (const fd of waited) {
    try {
      if (!fstatSync(fd).isFIFO()) throw new QevmError("io", "not a pipe");
      const other = openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
      writeSync(other, Uint8Array.of(0));
      closeSync(other);
    } catch {
      process.kill(process.pid, "SIGKILL");
    }
  }
}

/** Opens a command-line argument: a path, or `-` for standard input. */
export function openSource(path: string): ByteSource {
  if (path === "-") return new PipeSource("standard input", 0);
  const source = FileSource.open(path);
  return source.seekable ? source : new PipeSource(path, source.fd);
}

/** Whether a path can be opened twice: false for standard input and named pipes. */
export function canReopen(path: string): boolean {
  if (path === "-") return false;
  const stat = attempt(path, () => statSync(path));
  return stat.isFile() || stat.isDirectory();
}

/** Hole granularity: file systems store files in aligned blocks of this size. */
const HOLE = 4096;
const ZEROS = Buffer.alloc(HOLE);

/**
 * A file that is written atomically: bytes go to a temporary file beside it, and `commit` renames it. Blocks of zeros
 * become holes. A new file has mode 0600; a replaced file keeps its mode. A device or pipe of that name receives the
 * bytes at `commit`.
 */
export class AtomicFile implements ByteSink {
  readonly temporary: string;
  readonly fd: number;
  private readonly place: OutputPlace;
  private readonly turns = new Turns();
  private readonly made: ReturnType<typeof temporaryFile>;
  private open = true;
  private finished = false;
  /** The offset of the next byte, which is the end of what was written. */
  private position = 0;
  private written = 0;

  constructor(readonly path: string) {
    this.place = outputPlace(path);
    this.made = temporaryFile(this.place.folder, basename(this.place.path));
    this.temporary = this.made.path;
    this.fd = this.made.fd;
  }

  write(chunk: Uint8Array): void | Promise<void> {
    const { position } = this;
    // Start of the bytes that are not written yet.
    let from = 0;
    for (let at = (HOLE - (position % HOLE)) % HOLE; at + HOLE <= chunk.length; at += HOLE) {
      // The whole block is compared only if its first and last bytes are zero.
      if (chunk[at] !== 0 || chunk[at + HOLE - 1] !== 0 || ZEROS.compare(chunk, at, at + HOLE) !== 0) continue;
      this.writePart(chunk, from, at);
      from = at + HOLE;
    }
    this.writePart(chunk, from, chunk.length);
    this.position = position + chunk.length;
    return this.turns.due();
  }

  hole(length: number): void {
    this.position += length;
  }

  commit(): void {
    if (this.position > this.written) attempt(this.path, () => ftruncateSync(this.fd, this.position));
    this.close();
    moveInto(this.temporary, this.place);
    this.finished = true;
    this.made.forget();
  }

  /** Removes the temporary file. Does nothing after `commit`. */
  abort(): void {
    this.close();
    if (!this.finished) this.made.remove();
    this.finished = true;
  }

  /** Writes the range [from, to) of a chunk whose first byte belongs at `position`. */
  private writePart(chunk: Uint8Array, from: number, to: number): void {
    // For a device or pipe the temporary file is in another folder, so errors name that one.
    writeAll(this.place.special ? this.temporary : this.path, this.fd, chunk.subarray(from, to), this.position + from);
    if (to > from) this.written = this.position + to;
  }

  private close(): void {
    if (this.open) closeSync(this.fd);
    this.open = false;
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
