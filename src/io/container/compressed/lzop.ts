import type { QemuFileReader } from "../../../bytes/reader.js";
import { BlockDecoder } from "../../../engine/blocks.js";

const MAGIC = [0x89, 0x4c, 0x5a, 0x4f, 0x00, 0x0d, 0x0a, 0x1a, 0x0a];
/** Maximum block size of lzop. */
const LARGEST = 64 << 20;

const Flag = {
  ADLER_PLAIN: 0x1,
  ADLER_PACKED: 0x2,
  EXTRA: 0x40,
  CRC_PLAIN: 0x100,
  CRC_PACKED: 0x200,
  MULTIPART: 0x400,
  FILTER: 0x800,
};

/**
 * lzop files, one or more members. Header: magic (9), be16 version, be16 library version, be16 needed version, u8
 * method, u8 level, be32 flags, [be32 filter], be32 mode, be32 mtime, be32 mtime high, u8 + name, be32 checksum, [be32
 * + extra field, be32 checksum]. Blocks: be32 plain length (0 ends), be32 packed length, [checksums of the plain
 * bytes], [checksums of the packed ones, when shorter], the bytes. Source: lzop 1.04 lzop.c.
 *
 * Decoded here because no package reads the file format (the LZO packages need bare blocks, and two of three are native
 * code); the blocks in WebAssembly. The header's own checksum is not checked. Memory: two blocks (lzop makes 256 KiB, the
 * format allows 64 MiB). Errors: truncated, bad-compressed-data, limit, unsupported.
 */
export async function* unlzop(reader: QemuFileReader): AsyncGenerator<Uint8Array> {
  const blocks = await BlockDecoder.create();
  for (let members = 0; ; members++) {
    if (!(await startsWithMagic(reader))) {
      if (members > 0) return;
      throw reader.error("bad-magic", "no lzop header");
    }
    const flags = await header(reader);
    for (;;) {
      const at = reader.offset;
      await reader.need(4, "an lzop block header");
      const plain = reader.u32();
      if (plain === 0) break;
      if (plain > LARGEST)
        throw reader.error("limit", "lzop block", { offset: at, expected: `at most ${LARGEST}`, found: `${plain}` });
      await reader.need(4, "an lzop block header");
      const packed = reader.u32();
      if (packed > plain)
        throw reader.error("bad-length", "lzop block", {
          offset: at + 4,
          expected: `at most ${plain}`,
          found: `${packed}`,
        });
      const plainSums = await checksums(reader, flags & Flag.ADLER_PLAIN, flags & Flag.CRC_PLAIN);
      const isStored = packed === plain;
      const packedSums = isStored ? {} : await checksums(reader, flags & Flag.ADLER_PACKED, flags & Flag.CRC_PACKED);
      const start = reader.offset;
      await reader.needLarge(packed, "an lzop block");
      const block = reader.view(packed);
      if (!agrees(blocks, block, packedSums)) {
        throw reader.error("bad-compressed-data", "lzop checksum of the compressed block", { offset: start });
      }
      const out = isStored ? block : blocks.lzo1x(block, plain);
      if (typeof out === "number") {
        throw reader.error("bad-compressed-data", "lzop block", { offset: start + out });
      }
      if (!agrees(blocks, out, plainSums)) {
        throw reader.error("bad-compressed-data", "lzop checksum of the plain block", { offset: start });
      }
      yield out;
    }
  }
}

/** What a block says about its bytes. */
interface Checksums {
  adler?: number;
  crc?: number;
}

/** Reads the checksums that the flags announce. */
async function checksums(reader: QemuFileReader, adler: number, crc: number): Promise<Checksums> {
  const sums: Checksums = {};
  if (adler !== 0) sums.adler = await checksum(reader);
  if (crc !== 0) sums.crc = await checksum(reader);
  return sums;
}

async function checksum(reader: QemuFileReader): Promise<number> {
  await reader.need(4, "an lzop checksum");
  return reader.u32();
}

function agrees(blocks: BlockDecoder, bytes: Uint8Array, { adler, crc }: Checksums): boolean {
  return (adler === undefined || blocks.adler32(bytes) === adler) && (crc === undefined || blocks.crc32(bytes) === crc);
}

async function startsWithMagic(reader: QemuFileReader): Promise<boolean> {
  if (!(await reader.fill(MAGIC.length))) return false;
  return MAGIC.every((byte, k) => reader.buffer[reader.position + k] === byte);
}

/** Reads a member's header and returns its flags. */
async function header(reader: QemuFileReader): Promise<number> {
  const at = reader.offset;
  await reader.need(34, "an lzop header");
  reader.skip(MAGIC.length);
  const version = reader.u16();
  if (version < 0x0940)
    throw reader.error("unsupported-version", "lzop version", { offset: at + 9, found: `0x${version.toString(16)}` });
  reader.skip(4);
  const method = reader.u8();
  if (method < 1 || method > 3)
    throw reader.error("unsupported", "lzop method", { offset: reader.offset - 1, found: `${method}` });
  reader.skip(1);
  const flags = reader.u32();
  if ((flags & (Flag.FILTER | Flag.MULTIPART)) !== 0) {
    throw reader.error("unsupported", "lzop flags", { offset: reader.offset - 4, found: `0x${flags.toString(16)}` });
  }
  reader.skip(12);
  const name = reader.u8();
  await reader.need(name + 4, "an lzop header");
  reader.skip(name + 4);
  if ((flags & Flag.EXTRA) !== 0) {
    await reader.need(4, "an lzop extra field");
    await reader.discard(reader.u32() + 4, "an lzop extra field");
  }
  return flags;
}
