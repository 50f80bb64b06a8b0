/**
 * Flags of a RAM record: the low bits of its leading be64, below the target page size.
 *
 * | value | name          | body after the be64                              | since          |
 * |-------|---------------|--------------------------------------------------|----------------|
 * | 0x001 | FULL          | none; never written since 2009, refused           | -              |
 * | 0x002 | ZERO          | [str8 block] u8 fill                              | -              |
 * | 0x004 | MEM_SIZE      | the block list                                    | -              |
 * | 0x008 | PAGE          | [str8 block] one page                             | -              |
 * | 0x010 | EOS           | none; ends the chunk                              | -              |
 * | 0x020 | CONTINUE      | modifier: the block name is left out              | -              |
 * | 0x040 | XBZRLE        | [str8 block] u8 1, be16 length, delta             | 1.2            |
 * | 0x080 | HOOK          | none in the stream (RDMA)                         | 1.5            |
 * | 0x100 | COMPRESS_PAGE | [str8 block] be32 length, zlib stream             | 2.4, until 9.0 |
 * | 0x200 | MULTIFD_FLUSH | none                                              | 8.1            |
 *
 * Source: QEMU migration/ram.c (5.2, 7.2, 9.0, 10.0).
 */
export const RamFlag = {
  ZERO: 0x002,
  MEM_SIZE: 0x004,
  PAGE: 0x008,
  EOS: 0x010,
  CONTINUE: 0x020,
  XBZRLE: 0x040,
  HOOK: 0x080,
  COMPRESS_PAGE: 0x100,
  MULTIFD_FLUSH: 0x200,
} as const;

/** What a RAM record is, in words. The first four are pages. */
export type RamEncoding = "zero" | "normal" | "compressed" | "xbzrle" | "blocks" | "hook" | "flush" | "eos";

/** The flags that carry one page. */
export const PAGE_FLAGS = RamFlag.ZERO | RamFlag.PAGE | RamFlag.COMPRESS_PAGE | RamFlag.XBZRLE;

/** The longest COMPRESS_PAGE payload that QEMU accepts: zlib's `compressBound` of a page (4,110 for 4 KiB). */
export function compressBound(pageSize: number): number {
  return pageSize + Math.floor(pageSize / 4096) + Math.floor(pageSize / 16384) + Math.floor(pageSize / 33554432) + 13;
}
