import type { QemuFileReader } from "../../bytes/reader.js";
import type { QemuFileWriter } from "../../bytes/writer.js";

/**
 * What a destination sends back, when the source has asked for a return path: be16 type, be16 length, payload.
 *
 * | type | name           | payload                                                                            | since |
 * | ---- | -------------- | ---------------------------------------------------------------------------------- | ----- |
 * | 1    | SHUT           | be32: 0, or an error; nothing follows                                              | 2.5   |
 * | 2    | PONG           | be32 of the PING                                                                   | 2.5   |
 * | 3    | REQ_PAGES_ID   | be64 start, be32 length, str8 block                                                | 2.5   |
 * | 4    | REQ_PAGES      | be64 start, be32 length; the block of the last REQ_PAGES_ID                        | 2.5   |
 * | 5    | RECV_BITMAP    | str8 block; outside the length: be64 size, bitmap, be64 `0x0123456789abcdef`       | 3.0   |
 * | 6    | RESUME_ACK     | be32 1                                                                             | 3.0   |
 * | 7    | SWITCHOVER_ACK |                                                                                    | 8.1   |
 *
 * Source: QEMU migration/migration.c source_return_path_thread, migrate_send_rp_* (5.2 to 11.1).
 */
export type ReturnMessage =
  | { name: "SHUT" | "PONG" | "RESUME_ACK"; value: number }
  /**
   * Bytes of a block; without its name the block is that of the message before. Errors of `start`: limit beyond 2^53.
   */
  | { name: "REQ_PAGES"; start: number; length: number; block?: string }
  /** Bit i (of byte i / 8, the lowest first) says that page i has arrived; `end` is 0x0123456789abcdef. */
  | { name: "RECV_BITMAP"; block: string; bitmap: Uint8Array; end: bigint }
  | { name: "SWITCHOVER_ACK" };

const TYPES = {
  SHUT: 1,
  PONG: 2,
  REQ_PAGES_ID: 3,
  REQ_PAGES: 4,
  RECV_BITMAP: 5,
  RESUME_ACK: 6,
  SWITCHOVER_ACK: 7,
} as const;

/** Least and most bytes of a payload by type. */
const LENGTHS: Readonly<Record<number, readonly [number, number]>> = {
  1: [4, 4],
  2: [4, 4],
  3: [14, 268],
  4: [12, 12],
  5: [2, 256],
  6: [4, 4],
  7: [0, 0],
};

/** Largest bitmap taken: a block of 2 TiB in pages of 4 KiB. */
const BITMAP_BYTES = 64 << 20;
/** What ends a bitmap. */
export const BITMAP_END = 0x0123456789abcdefn;

/** Whether bytes begin with a message of a return path. */
export function isReturnPath(head: Uint8Array): boolean {
  const [least, most] = LENGTHS[(head[0] ?? 0xff) * 256 + (head[1] ?? 0xff)] ?? [1, 0];
  const length = (head[2] ?? 0xff) * 256 + (head[3] ?? 0xff);
  return least <= length && length <= most && head.length >= 4;
}

/** Decodes one message; undefined at the end. Errors: truncated, unknown-type, bad-length, limit. */
export async function decodeReturnMessage(reader: QemuFileReader): Promise<ReturnMessage | undefined> {
  if (!(await reader.fill(1))) return undefined;
  await reader.need(4, "the head of a return-path message");
  const start = reader.offset;
  const type = reader.u16();
  const length = reader.u16();
  const bounds = LENGTHS[type];
  if (bounds === undefined) {
    throw reader.error("unknown-type", "return-path message", { offset: start, expected: "1 to 7", found: `${type}` });
  }
  if (length < bounds[0] || length > bounds[1]) {
    const expected = `${bounds[0]} to ${bounds[1]} bytes`;
    throw reader.error("bad-length", "return-path message", { offset: start + 2, expected, found: `${length}` });
  }
  await reader.need(length, "a return-path message");
  switch (type) {
    case TYPES.SHUT:
      return { name: "SHUT", value: reader.u32() };
    case TYPES.PONG:
      return { name: "PONG", value: reader.u32() };
    case TYPES.RESUME_ACK:
      return { name: "RESUME_ACK", value: reader.u32() };
    case TYPES.REQ_PAGES:
      return { name: "REQ_PAGES", start: reader.length64("start of the pages"), length: reader.u32() };
    case TYPES.REQ_PAGES_ID: {
      const pages = { start: reader.length64("start of the pages"), length: reader.u32() };
      return { name: "REQ_PAGES", ...pages, block: nameOf(reader, length - 12) };
    }
    case TYPES.RECV_BITMAP:
      return await decodeBitmap(reader, nameOf(reader, length));
    default:
      return { name: "SWITCHOVER_ACK" };
  }
}

/** Encodes one message. Errors: does-not-fit. */
export function encodeReturnMessage(writer: QemuFileWriter, message: ReturnMessage): void {
  switch (message.name) {
    case "SWITCHOVER_ACK":
      beginMessage(writer, TYPES.SWITCHOVER_ACK, 0);
      return;
    case "REQ_PAGES": {
      const { start, length, block } = message;
      beginMessage(
        writer,
        block === undefined ? TYPES.REQ_PAGES : TYPES.REQ_PAGES_ID,
        block === undefined ? 12 : 13 + block.length,
      );
      writer.length64(start);
      writer.u32(length);
      if (block !== undefined) writer.string8(block, "RAM block name");
      return;
    }
    case "RECV_BITMAP":
      beginMessage(writer, TYPES.RECV_BITMAP, 1 + message.block.length);
      writer.string8(message.block, "RAM block name");
      writer.length64(message.bitmap.length);
      writer.bytes(message.bitmap);
      writer.u64(message.end);
      return;
    default:
      beginMessage(writer, TYPES[message.name], 4);
      writer.u32(message.value);
  }
}

function beginMessage(writer: QemuFileWriter, type: number, length: number): void {
  writer.u16(type);
  writer.u16(length);
}

/** A str8 that fills the rest of a message. */
function nameOf(reader: QemuFileReader, length: number): string {
  if (reader.peek() !== length - 1) {
    throw reader.error("bad-length", "RAM block name in a return-path message", {
      expected: `${length - 1} bytes`,
      found: `${reader.peek()}`,
    });
  }
  return reader.string8("RAM block name");
}

async function decodeBitmap(reader: QemuFileReader, block: string): Promise<ReturnMessage> {
  await reader.need(8, "the size of a bitmap");
  const at = reader.offset;
  const size = reader.length64("size of a bitmap");
  if (size > BITMAP_BYTES) {
    throw reader.error("limit", "bitmap", { offset: at, expected: `at most ${BITMAP_BYTES} bytes`, found: `${size}` });
  }
  await reader.needLarge(size + 8, "a bitmap");
  return { name: "RECV_BITMAP", block, bitmap: reader.bytes(size), end: reader.u64() };
}
