import { QevmError } from "../../../bytes/errors.js";
import type { QemuFileReader } from "../../../bytes/reader.js";
import { IterableSource, type ByteSource } from "../../../bytes/source.js";
import { DEFAULT_LIMITS } from "../../../codec/stream/limits.js";
import type { Compression } from "../detect.js";

/** Decompressed bytes that are allowed for any file, however small it is. */
const FREE = 256 << 20;
/**
 * One layer of zeros compresses 1032:1 (gzip) to 32768:1 (zstd). A file that is compressed twice may expand by a 64th
 * of the product.
 */
const TWICE = 64;

/** The permitted expansion of a compressed file. */
export interface Expansion {
  /** See {@link StreamLimits.expansion}. */
  most?: number | undefined;
  /** Bytes read so far of the outermost compressed file, where this one is inside it. */
  outer?: (() => number) | undefined;
}

/** A decompressed file. */
export interface Decompressed extends ByteSource {
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
  { most = DEFAULT_LIMITS.expansion, outer }: Expansion = {},
): Promise<Decompressed> {
  const path = [`${kind} file`];
  reader.path.push(...path);
  const start = reader.offset;
  const compressed = outer ?? ((): number => reader.offset - start);
  const ratio = outer === undefined ? most : Math.ceil(most / TWICE);
  const chunks = (await DECOMPRESSORS[kind]())(reader);
  const plain = new IterableSource(bounded(chunks, compressed, ratio, reader));
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

/** The same chunks, with a check of the expansion ratio. */
async function* bounded(
  chunks: AsyncGenerator<Uint8Array>,
  compressed: () => number,
  ratio: number,
  reader: QemuFileReader,
): AsyncGenerator<Uint8Array> {
  let plain = 0;
  for await (const chunk of chunks) {
    plain += chunk.length;
    if (plain > FREE && plain > ratio * compressed()) {
      throw new QevmError("limit", "compressed data expands too much (--limit expansion=N, if it is not a bomb)", {
        offset: reader.offset,
        path: [...reader.path],
        expected: `at most ${ratio} bytes for each of ${compressed()}`,
        found: `${plain}`,
      });
    }
    yield chunk;
  }
}

type Decompressor = (reader: QemuFileReader) => AsyncGenerator<Uint8Array>;

const DECOMPRESSORS: Readonly<Record<Compression, () => Promise<Decompressor>>> = {
  gzip: async () => (await import("./gzip.js")).gunzip,
  bzip2: async () => (await import("./bzip2.js")).bunzip2,
  xz: async () => (await import("./xz.js")).unxz,
  lzop: async () => (await import("./lzop.js")).unlzop,
  lz4: async () => (await import("./lz4.js")).unlz4,
  zstd: async () => (await import("./zstd.js")).unzstd,
};
