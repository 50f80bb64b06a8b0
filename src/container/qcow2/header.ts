import { Parser } from "binary-parser";
import { hex, QevmError } from "../../errors.js";

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

export const QCOW2_MAGIC = 0x514649fb;

const VERSION_2 = new Parser()
  .endianness("big")
  .uint32("magic")
  .uint32("version")
  .uint64("backingFileOffset")
  .uint32("backingFileSize")
  .uint32("clusterBits")
  .uint64("size")
  .uint32("encryption")
  .uint32("l1Size")
  .uint64("l1TableOffset")
  .uint64("refcountTableOffset")
  .uint32("refcountTableClusters")
  .uint32("snapshots")
  .uint64("snapshotsOffset");

const VERSION_3 = new Parser()
  .endianness("big")
  .seek(72)
  .uint64("incompatibleFeatures")
  .uint64("compatibleFeatures")
  .uint64("autoclearFeatures")
  .uint32("refcountOrder")
  .uint32("headerLength");

/** What version 2 does not say. */
const VERSION_2_DEFAULTS = {
  incompatibleFeatures: 0n,
  compatibleFeatures: 0n,
  autoclearFeatures: 0n,
  refcountOrder: 4,
  headerLength: 72,
};

/** Decodes a header from the first bytes of an image. Errors: truncated, bad-magic, unsupported-version, unsupported, bad-value. */
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
  const { magic, ...fields } = VERSION_2.parse<{ magic: number } & Qcow2Header>(bytes);
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
  const more = VERSION_3.parse<typeof VERSION_2_DEFAULTS>(bytes);
  // Bytes of the header itself; its extensions follow.
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

/** Encodes a header: 72 bytes in version 2, `headerLength` in version 3. Header extensions are not part of it. */
export function encodeQcow2Header(header: Qcow2Header): Uint8Array {
  const bytes = new Uint8Array(header.version === 2 ? 72 : header.headerLength);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, QCOW2_MAGIC);
  view.setUint32(4, header.version);
  view.setBigUint64(8, header.backingFileOffset);
  view.setUint32(16, header.backingFileSize);
  view.setUint32(20, header.clusterBits);
  view.setBigUint64(24, header.size);
  view.setUint32(32, header.encryption);
  view.setUint32(36, header.l1Size);
  view.setBigUint64(40, header.l1TableOffset);
  view.setBigUint64(48, header.refcountTableOffset);
  view.setUint32(56, header.refcountTableClusters);
  view.setUint32(60, header.snapshots);
  view.setBigUint64(64, header.snapshotsOffset);
  if (header.version === 2) return bytes;
  view.setBigUint64(72, header.incompatibleFeatures);
  view.setBigUint64(80, header.compatibleFeatures);
  view.setBigUint64(88, header.autoclearFeatures);
  view.setUint32(96, header.refcountOrder);
  view.setUint32(100, header.headerLength);
  if (header.headerLength > 104) bytes[104] = header.compression;
  return bytes;
}
