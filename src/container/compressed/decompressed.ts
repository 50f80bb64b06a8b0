import type { QemuFileReader } from "../../qemu-file/reader.js";
import { IterableSource, type ByteSource } from "../../qemu-file/source.js";
import type { Compression } from "../detect.js";

/** A decompressor, its code loaded now, over what a reader has left. Offsets inside count from 0. */
export async function decompressed(kind: Compression, reader: QemuFileReader): Promise<ByteSource> {
  const path = [`${kind} file`];
  reader.path.push(...path);
  const chunks = (await DECOMPRESSORS[kind]())(reader);
  const plain = new IterableSource(chunks);
  return {
    within: [...(reader.source.within ?? []), `inside ${kind}`],
    read: (into) => plain.read(into),
    close: async () => {
      await plain.close();
      await reader.source.close?.();
    },
  };
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
