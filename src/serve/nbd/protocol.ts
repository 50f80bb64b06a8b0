/**
 * Numbers and messages of the NBD protocol. Source: the protocol's document, NetworkBlockDevice/nbd doc/proto.md. All
 * numbers are big-endian.
 */

export const NBD_MAGIC = Buffer.from("NBDMAGIC", "latin1");
export const OPTION_MAGIC = Buffer.from("IHAVEOPT", "latin1");
const OPTION_REPLY_MAGIC = 0x3e889_0455_65a9n;
const REQUEST_MAGIC = 0x2560_9513;
const SIMPLE_REPLY_MAGIC = 0x6744_6698;
const STRUCTURED_REPLY_MAGIC = 0x668e_33ef;

/** Flags of the server's and of the client's first word: the fixed newstyle, and no 124 zeros after EXPORT_NAME. */
export const Handshake = { FIXED_NEWSTYLE: 1, NO_ZEROES: 2 } as const;

export const Option = {
  EXPORT_NAME: 1,
  ABORT: 2,
  LIST: 3,
  INFO: 6,
  GO: 7,
  STRUCTURED_REPLY: 8,
  LIST_META_CONTEXT: 9,
  SET_META_CONTEXT: 10,
} as const;

export const OptionReply = {
  ACK: 1,
  SERVER: 2,
  INFO: 3,
  META_CONTEXT: 4,
  ERR_UNSUP: 0x8000_0001,
  ERR_INVALID: 0x8000_0003,
  ERR_UNKNOWN: 0x8000_0006,
  ERR_TOO_BIG: 0x8000_0009,
} as const;

export const Info = { EXPORT: 0, NAME: 1, DESCRIPTION: 2, BLOCK_SIZE: 3 } as const;

/** Transmission flags of an export. */
export const Transmission = {
  HAS_FLAGS: 1 << 0,
  READ_ONLY: 1 << 1,
  SEND_FLUSH: 1 << 2,
  SEND_DF: 1 << 7,
  CAN_MULTI_CONN: 1 << 8,
} as const;

export const Command = {
  READ: 0,
  WRITE: 1,
  DISC: 2,
  FLUSH: 3,
  TRIM: 4,
  WRITE_ZEROES: 6,
  BLOCK_STATUS: 7,
  RESIZE: 8,
} as const;

/** Flags of a request: the reply in one piece; one extent only. */
export const CommandFlag = { DF: 1 << 2, REQ_ONE: 1 << 3 } as const;

export const Chunk = { NONE: 0, OFFSET_DATA: 1, OFFSET_HOLE: 2, BLOCK_STATUS: 5, ERROR: 0x8001 } as const;
/** The flag of the last chunk of a reply. */
export const DONE = 1;

export const NbdError = { EPERM: 1, EIO: 5, EINVAL: 22, EOVERFLOW: 75 } as const;

/** Extents of `base:allocation`: no memory there; its bytes are zeros. */
export const State = { HOLE: 1, ZERO: 2 } as const;

/** Bytes of a request: magic, flags, type, cookie, offset, length. */
export const REQUEST_BYTES = 28;

/** A request, as it is on the wire. */
export interface Request {
  flags: number;
  type: number;
  /** The client's name for the request, which the reply repeats. */
  cookie: Buffer;
  offset: bigint;
  length: number;
}

/** Undefined where the magic number is wrong: what follows cannot be understood. */
export function decodeRequest(bytes: Buffer): Request | undefined {
  if (bytes.readUInt32BE(0) !== REQUEST_MAGIC) return undefined;
  return {
    flags: bytes.readUInt16BE(4),
    type: bytes.readUInt16BE(6),
    cookie: bytes.subarray(8, 16),
    offset: bytes.readBigUInt64BE(16),
    length: bytes.readUInt32BE(24),
  };
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  values.forEach((value, k) => bytes.writeUInt32BE(value, 4 * k));
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export function encodeOptionReply(option: number, type: number, ...data: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(data);
  return Buffer.concat([u64(OPTION_REPLY_MAGIC), u32(option, type, body.length), body]);
}

export function encodeSimpleReply(cookie: Buffer, error: number): Buffer {
  return Buffer.concat([u32(SIMPLE_REPLY_MAGIC, error), cookie]);
}

/** The head of a chunk whose `length` bytes follow. */
export function encodeChunkHead(cookie: Buffer, flags: number, type: number, length: number): Buffer {
  return Buffer.concat([u32(STRUCTURED_REPLY_MAGIC), u16(flags), u16(type), cookie, u32(length)]);
}
