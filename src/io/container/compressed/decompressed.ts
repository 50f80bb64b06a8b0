import { QevmError } from "../../../bytes/errors.js";
import type { QemuFileReader } from "../../../bytes/reader.js";
import { IterableSource, type ByteSource } from "../../../bytes/source.js";
import { DEFAULT_LIMITS } from "../../../codec/stream/limits.js";
import type { Compression } from "../detect.js";
import { DECOMPRESSORS, type Bounds } from "./decompressors.js";
import type { Progress } from "./progress.js";

/** From so many compressed bytes on, other threads are faster: the start of one takes 0.1 s of processor time. */
const LONG: Partial<Record<Compression, number>> = {
  bzip2: 4 << 20,
  xz: 4 << 20,
  zstd: 64 << 20,
  lz4: 64 << 20,
  lzop: 64 << 20,
};
/** Decompressed bytes that are allowed for any file, however small it is. */
const FREE = 256 << 20;
/**
 * One layer of zeros compresses 1032:1 (gzip) to 32768:1 (zstd). A file that is compressed twice may expand by a 64th
 * of the product.
 */
const TWICE = 64;

/** What a compressed file may take. */
export interface Expansion extends Bounds {
  /** See {@link StreamLimits.expansion}. */
  most?: number | undefined;
  /** Bytes read so far of the outermost compressed file, where this one is inside it. */
  outer?: (() => number) | undefined;
  /** For tests: the shortest file, in bytes, for threads, how many there are, and whether they are all waited for. */
  threads?: { from?: number; lanes?: number; ready?: boolean } | undefined;
}

/** A decompressed file. */
interface Decompressed extends ByteSource {
  /** Bytes read so far of the outermost compressed file. */
  readonly compressed: () => number;
}

/**
 * A decompressor, loaded on demand, for the rest of a reader's input. Offsets inside count from 0. Errors when reading:
 * limit, and the format's.
 */
export async function decompressed(
  kind: Compression,
  reader: QemuFileReader,
  { most = DEFAULT_LIMITS.expansion, outer, threads, window }: Expansion = {},
): Promise<Decompressed> {
  const path = [`${kind} file`];
  reader.path.push(...path);
  const start = reader.offset;
  const progress = await begun(kind, reader, { window, threads });
  const compressed = outer ?? ((): number => progress.offset - start);
  const ratio = outer === undefined ? most : Math.ceil(most / TWICE);
  const plain = new IterableSource(bounded(progress, compressed, ratio, reader.path), progress.copy);
  return {
    within: [...(reader.source.within ?? []), `inside ${kind}`],
    compressed,
    read: (into) => plain.read(into),
    close: async () => {
      await plain.close();
      await reader.source.close?.();
    },
  };
}

/** By other threads, where the input is a file that is long enough. */
async function begun(
  kind: Compression,
  reader: QemuFileReader,
  { window, threads: { from = LONG[kind] ?? Infinity, lanes, ready } = {} }: Pick<Expansion, "window" | "threads">,
): Promise<Progress> {
  const { openFile: file, length = 0 } = reader.source;
  if (file !== undefined && length - reader.offset >= from) {
    const { inThreads } = await import("../threads/in-threads.js");
    const progress = await inThreads(kind, reader, file, { length, window, lanes, ready });
    if (progress !== undefined) return progress;
  }
  return new HereProgress(reader, (await DECOMPRESSORS[kind]())(reader, { window }));
}

/** By this thread. */
class HereProgress implements Progress {
  plain = 0;
  readonly chunks: AsyncGenerator<Uint8Array>;

  constructor(
    private readonly reader: QemuFileReader,
    chunks: AsyncGenerator<Uint8Array>,
  ) {
    this.chunks = this.counted(chunks);
  }

  get offset(): number {
    return this.reader.offset;
  }

  private async *counted(chunks: AsyncGenerator<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      this.plain += chunk.length;
      yield chunk;
    }
  }
}

/** The same chunks, with a check of the expansion ratio. */
async function* bounded(
  progress: Progress,
  compressed: () => number,
  ratio: number,
  path: readonly string[],
): AsyncGenerator<Uint8Array> {
  for await (const chunk of progress.chunks) {
    const { plain } = progress;
    if (plain > FREE && plain > ratio * compressed()) {
      throw new QevmError("limit", "compressed data expands too much (--limit expansion=N, if it is not a bomb)", {
        offset: progress.offset,
        path: [...path],
        expected: `at most ${ratio} bytes for each of ${compressed()}`,
        found: `${plain}`,
      });
    }
    yield chunk;
  }
}
