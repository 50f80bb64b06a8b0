import type { QemuFileReader } from "../../../bytes/reader.js";
import type { Compression } from "../detect.js";

/** The plain bytes of the rest of a reader's input. Pieces are valid until the next one. */
type Decompressor = (reader: QemuFileReader, bounds?: Bounds) => AsyncGenerator<Uint8Array>;

/** What a decompressor may take. */
export interface Bounds {
  /** zstd, xz: see {@link StreamLimits.windowBytes}. */
  window?: number | undefined;
}

/** Each loaded on demand. */
export const DECOMPRESSORS: Readonly<Record<Compression, () => Promise<Decompressor>>> = {
  gzip: async () => (await import("./gzip.js")).gunzip,
  bzip2: async () => {
    const { bunzip2 } = await import("./bzip2.js");
    return (reader) => bunzip2(reader);
  },
  xz: async () => (await import("./xz.js")).unxz,
  lzop: async () => (await import("./lzop.js")).unlzop,
  lz4: async () => (await import("./lz4.js")).unlz4,
  zstd: async () => (await import("./zstd.js")).unzstd,
};
