import { hex, QevmError } from "../../../bytes/errors.js";
import { struct, u32be, u64be } from "../../../bytes/layout.js";

/**
 * The qcow2 header, big-endian (72 bytes in version 2, at least 104 in version 3):
 *
 * | offset | size | field                  | offset | size | field                                              |
 * | ------ | ---- | ---------------------- | ------ | ---- | -------------------------------------------------- |
 * | 0      | be32 | magic `QFI\xfb`        | 48     | be64 | refcount table offset                              |
 * | 4      | be32 | version                | 56     | be32 | refcount table clusters                            |
 * | 8      | be64 | backing file offset    | 60     | be32 | number of snapshots                                |
 * | 16     | be32 | backing file name size | 64     | be64 | snapshot table offset                              |
 * | 20     | be32 | cluster bits           | 72     | be64 | incompatible features                              |
 * | 24     | be64 | virtual disk size      | 80     | be64 | compatible features                                |
 * | 32     | be32 | encryption             | 88     | be64 | autoclear features                                 |
 * | 36     | be32 | L1 entries             | 96     | be32 | refcount order                                     |
 * | 40     | be64 | L1 table offset        | 100    | be32 | header length; from 112 on: u8 compression at 104  |
 *
 * Source: QEMU docs/interop/qcow2.txt, 7.2.
 */
export interface Qcow2Header {
  version: number;
  backingFileOffset: bigint;
  backingFileSize: number;
  clusterBits: number;
  size: bigint;
  encryption: number;
  l1Size: number;
  l1TableOffset: bigint;
  refcountTableOffset: bigint;
  refcountTableClusters: number;
  snapshots: number;
  snapshotsOffset: bigint;
  incompatibleFeatures: bigint;
  compatibleFeatures: bigint;
  autoclearFeatures: bigint;
  refcountOrder: number;
  headerLength: number;
  /** 0 zlib, 1 zstd. */
  compression: number;
}

export const Incompatible = { DIRTY: 1n, CORRUPT: 2n, EXTERNAL_DATA: 4n, COMPRESSION: 8n, EXTENDED_L2: 16n } as const;

const QCOW2_MAGIC = 0x514649fb;

export const VERSION_2_LAYOUT = struct({
  magic: u32be,
  version: u32be,
  backingFileOffset: u64be,
  backingFileSize: u32be,
  clusterBits: u32be,
  size: u64be,
  encryption: u32be,
  l1Size: u32be,
  l1TableOffset: u64be,
  refcountTableOffset: u64be,
  refcountTableClusters: u32be,
  snapshots: u32be,
  snapshotsOffset: u64be,
});

/** The fields that version 3 adds. */
export const VERSION_3_LAYOUT = struct({
  incompatibleFeatures: u64be,
  compatibleFeatures: u64be,
  autoclearFeatures: u64be,
  refcountOrder: u32be,
  headerLength: u32be,
});

/** Defaults of these fields in version 2. */
const VERSION_2_DEFAULTS = {
  incompatibleFeatures: 0n,
  compatibleFeatures: 0n,
  autoclearFeatures: 0n,
  refcountOrder: 4,
  headerLength: 72,
};

/**
 * Decodes a header from the first bytes of an image. Errors: truncated, bad-magic, unsupported-version, unsupported,
 * bad-value.
 */
export function decodeQcow2Header(bytes: Uint8Array): Qcow2Header {
  const path = ["qcow2 header"];
  const short = (expected: number): QevmError =>
    new QevmError("truncated", "the input ends inside the qcow2 header", {
      offset: 0,
      path,
      expected: `${expected} bytes`,
      found: `${bytes.length}`,
    });
  if (bytes.length < 72) throw short(72);
  const { magic, ...fields } = VERSION_2_LAYOUT.decode(bytes);
  if (magic !== QCOW2_MAGIC)
    throw new QevmError("bad-magic", "no qcow2 header", { offset: 0, path, found: hex(magic) });
  if (fields.version !== 2 && fields.version !== 3) {
    throw new QevmError("unsupported-version", "version of the qcow2 image", {
      offset: 4,
      path,
      expected: "2 or 3",
      found: `${fields.version}`,
    });
  }
  if (fields.clusterBits < 9 || fields.clusterBits > 21) {
    throw new QevmError("bad-value", "qcow2 cluster bits", {
      offset: 20,
      path,
      expected: "9 to 21",
      found: `${fields.clusterBits}`,
    });
  }
  if (fields.version === 2) return { ...fields, ...VERSION_2_DEFAULTS, compression: 0 };
  if (bytes.length < 104) throw short(104);
  const more = VERSION_3_LAYOUT.decode(bytes, VERSION_2_LAYOUT.size);
  // Size of the header without its extensions.
  if (more.headerLength < 104 || more.headerLength % 8 !== 0) {
    throw new QevmError("bad-value", "length of the qcow2 header", {
      offset: 100,
      path,
      expected: "a multiple of 8, at least 104",
      found: `${more.headerLength}`,
    });
  }
  const known = Object.values(Incompatible).reduce((all, bit) => all | bit, 0n);
  if ((more.incompatibleFeatures & ~known) !== 0n) {
    throw new QevmError("unsupported", "qcow2 incompatible features", {
      offset: 72,
      path,
      found: hex(more.incompatibleFeatures),
    });
  }
  const compression = more.headerLength > 104 ? (bytes[104] ?? 0) : 0;
  if (compression > 1)
    throw new QevmError("unsupported", "qcow2 compression", {
      offset: 104,
      path,
      expected: "0 or 1",
      found: `${compression}`,
    });
  return { ...fields, ...more, compression };
}

/** Encodes a header: 72 bytes in version 2, `headerLength` in version 3. Header extensions are not included. */
export function encodeQcow2Header(header: Qcow2Header): Uint8Array {
  const bytes = new Uint8Array(header.version === 2 ? VERSION_2_LAYOUT.size : header.headerLength);
  VERSION_2_LAYOUT.encode({ magic: QCOW2_MAGIC, ...header }, bytes);
  if (header.version === 2) return bytes;
  VERSION_3_LAYOUT.encode(header, bytes, VERSION_2_LAYOUT.size);
  if (header.headerLength > 104) bytes[104] = header.compression;
  return bytes;
}
