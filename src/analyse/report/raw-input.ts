import { createHash } from "node:crypto";
import { SliceSource } from "../../io/container/sources.js";
import { isSource, sourceOf, type StreamInput } from "../../io/container/input.js";
import type { RecordedFiles } from "../../io/container/is-recorded.js";
import { type ByteSource, isRandom, type RandomSource } from "../../bytes/source.js";
import { readableAgain } from "../../io/transport/spool.js";
import { openSource } from "../../io/transport/file.js";
import type { Progress } from "./types.js";

/** Bytes that are read at a time where nothing is decoded. */
const READ = 1 << 20;

/** A file with its containers, which can be read repeatedly. */
interface RawInput {
  open(): RandomSource;
  /** Of its bytes, where they were all read already. */
  readonly sha256: string | undefined;
  /** It was copied from a pipe to a temporary file. */
  readonly copied: boolean;
  close(): void;
}

/**
 * A seekable input is read where it is; the bytes of pipes and the like go into a temporary file first, which
 * ends with the process at the latest. Errors: io.
 */
export async function openRaw(input: Exclude<StreamInput, RecordedFiles>, progress: Progress): Promise<RawInput> {
  const first = typeof input === "string" ? openSource(input) : sourceOf(input);
  try {
    if (!isRandom(first)) return await copied(first, progress);
    const { length } = first;
    // The caller closes a source that it passed.
    const whole = { length, read: () => 0, readAt: first.readAt.bind(first) };
    const open = typeof input === "string" ? () => openSource(input) as RandomSource : () => new SliceSource(whole, 0);
    return { open, sha256: undefined, copied: false, close: () => undefined };
  } finally {
    if (!isSource(input)) await first.close?.();
  }
}

async function copied(source: ByteSource, progress: Progress): Promise<RawInput> {
  // Not `readAt`: a pipe's file descriptor has one and cannot do it.
  const shown = progress({ read: (into) => source.read(into) }, "copying");
  const again = readableAgain(shown);
  const hash = createHash("sha256");
  const buffer = new Uint8Array(READ);
  let length = 0;
  try {
    for (let n = await again.source.read(buffer); n > 0; n = await again.source.read(buffer)) {
      hash.update(buffer.subarray(0, n));
      length += n;
    }
  } catch (error) {
    again.close();
    throw error;
  } finally {
    shown.done?.();
  }
  const whole = { length, read: () => 0, readAt: again.source.readAt.bind(again.source) };
  return {
    open: () => new SliceSource(whole, 0),
    sha256: hash.digest("hex"),
    copied: true,
    close: () => again.close(),
  };
}

/** A file's source to read, and its SHA-256 in hexadecimal digits (errors: io). */
interface Hashed {
  readonly source: RandomSource;
  sha256(): Promise<string>;
  close(): Promise<void>;
}

/** Hashes a long file in another thread, anything else while it is read in sequence. */
export async function hashing(file: RandomSource): Promise<Hashed> {
  const { openFile, length } = file;
  const here = new HashedSource(file);
  const close = async (): Promise<void> => await file.close?.();
  if (openFile !== undefined) {
    const { HashThread } = await import("./hash-thread.js");
    const thread = HashThread.over(openFile, length);
    if (thread !== undefined) {
      return {
        source: file,
        sha256: async () => (await thread.digest) ?? (await here.sha256()),
        close: async () => {
          await thread.stop();
          await close();
        },
      };
    }
  }
  return { source: here, sha256: () => here.sha256(), close };
}

/** A source that hashes bytes while they are read in sequence; `sha256` reads the rest. */
export class HashedSource implements RandomSource {
  readonly length: number;
  private readonly hash = createHash("sha256");
  private hashed = 0;
  private position = 0;

  constructor(private readonly file: RandomSource) {
    this.length = file.length;
  }

  read(into: Uint8Array): number | Promise<number> {
    const got = this.readAt(this.position, into);
    if (typeof got !== "number") return got.then((n) => this.advance(n));
    return this.advance(got);
  }

  readAt(position: number, into: Uint8Array): number | Promise<number> {
    const got = this.file.readAt(position, into);
    if (typeof got !== "number") return got.then((n) => this.seen(position, into, n));
    return this.seen(position, into, got);
  }

  seek(position: number): void {
    this.position = position;
  }

  /** SHA-256 of the whole file in hexadecimal digits. Errors: io. */
  async sha256(): Promise<string> {
    const buffer = new Uint8Array(READ);
    while ((await this.readAt(this.hashed, buffer)) > 0);
    return this.hash.digest("hex");
  }

  private advance(n: number): number {
    this.position += n;
    return n;
  }

  private seen(position: number, into: Uint8Array, n: number): number {
    const from = this.hashed - position;
    if (from >= 0 && from < n) {
      this.hash.update(into.subarray(from, n));
      this.hashed = position + n;
    }
    return n;
  }
}
