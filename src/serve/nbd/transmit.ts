import { QevmError } from "../../bytes/errors.js";
import { Turns } from "../../io/transport/turns.js";
import type { Peer } from "../peer.js";
import { MOST_BYTES } from "./exports.js";
import { ALLOCATION_ID, type Session } from "./negotiate.js";
import {
  Chunk,
  Command,
  CommandFlag,
  decodeRequest,
  DONE,
  encodeChunkHead,
  encodeSimpleReply,
  NbdError,
  REQUEST_BYTES,
  State,
  u16,
  u32,
  u64,
  type Request,
} from "./protocol.js";

/** Bytes of memory that are read at a time. */
const PIECE = 256 << 10;
/** Bytes that are sent in one piece, at most: a client that wants more in one gets an error. */
const MOST_WHOLE = 1 << 20;
/** What one block status says at most. */
const MOST_STATUS = { pages: 1 << 16, runs: 1 << 12 };

const STATES = { hole: State.HOLE | State.ZERO, zero: State.ZERO, data: 0 } as const;

/**
 * Serves the requests of a client, one after the other, until it disconnects. Errors: `PeerGone`.
 * @param onTrouble called with memory that could not be read
 */
export async function transmit(peer: Peer, session: Session, onTrouble: (error: QevmError) => void): Promise<void> {
  const turns = new Turns();
  for (;;) {
    const request = decodeRequest(await peer.bytes(REQUEST_BYTES, { idle: true }));
    if (request === undefined || request.type === Command.DISC) return;
    try {
      await new Reply(peer, session, request).send();
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      onTrouble(error);
      return;
    }
    await turns.due();
  }
}

/** The reply to one request. */
class Reply {
  constructor(
    private readonly peer: Peer,
    private readonly session: Session,
    private readonly request: Request,
  ) {}

  async send(): Promise<void> {
    const { type, length } = this.request;
    switch (type) {
      case Command.READ:
        await this.read();
        break;
      case Command.BLOCK_STATUS:
        await this.status();
        break;
      case Command.FLUSH:
        await this.success();
        break;
      case Command.WRITE:
        await this.peer.discard(length);
        await this.refuse(NbdError.EPERM, "read-only");
        break;
      case Command.TRIM:
      case Command.WRITE_ZEROES:
      case Command.RESIZE:
        await this.refuse(NbdError.EPERM, "read-only");
        break;
      default:
        await this.refuse(NbdError.EINVAL, "unknown command");
    }
  }

  private async read(): Promise<void> {
    const { structured } = this.session;
    const { flags, length } = this.request;
    const whole = (flags & CommandFlag.DF) !== 0;
    const offset = this.start();
    if (offset === undefined || (whole && !structured) || (flags & ~CommandFlag.DF) !== 0) {
      await this.refuse(NbdError.EINVAL, "outside of the export, or an unknown flag");
    } else if (length > MOST_BYTES || (whole && length > MOST_WHOLE)) {
      await this.refuse(NbdError.EOVERFLOW, "too much at a time");
    } else if (structured) {
      await (whole ? this.inOne(offset) : this.inChunks(offset));
    } else {
      await this.simple(offset);
    }
  }

  /** A simple reply: an error is told only while nothing was sent. */
  private async simple(offset: number): Promise<void> {
    const { cookie, length } = this.request;
    for (let at = 0; at < length; at += PIECE) {
      const piece = await this.piece(offset + at, Math.min(PIECE, length - at), at === 0);
      if (piece === undefined) return;
      await (at === 0 ? this.peer.send(encodeSimpleReply(cookie, 0), piece) : this.peer.send(piece));
    }
  }

  private async inOne(offset: number): Promise<void> {
    const { cookie, length } = this.request;
    const bytes = await this.piece(offset, length);
    if (bytes === undefined) return;
    const head = encodeChunkHead(cookie, DONE, Chunk.OFFSET_DATA, 8 + length);
    await this.peer.send(head, u64(offset), bytes);
  }

  /** Pages of zeros are sent as holes. */
  private async inChunks(offset: number): Promise<void> {
    const { cookie, length } = this.request;
    const { space } = this.session.chosen;
    for (let at = 0; at < length; at += PIECE) {
      const from = offset + at;
      const bytes = await this.piece(from, Math.min(PIECE, length - at));
      if (bytes === undefined) return;
      let done = 0;
      for (const run of space.zeroRuns(from, bytes)) {
        const place = u64(from + done);
        if (run.zero) {
          await this.peer.send(encodeChunkHead(cookie, 0, Chunk.OFFSET_HOLE, 12), place, u32(run.length));
        } else {
          const head = encodeChunkHead(cookie, 0, Chunk.OFFSET_DATA, 8 + run.length);
          await this.peer.send(head, place, bytes.subarray(done, done + run.length));
        }
        done += run.length;
      }
    }
    await this.success();
  }

  private async status(): Promise<void> {
    const { allocation, chosen } = this.session;
    const { cookie, flags, length } = this.request;
    const offset = this.start();
    if (!allocation || offset === undefined || (flags & ~CommandFlag.REQ_ONE) !== 0) {
      await this.refuse(NbdError.EINVAL, "base:allocation was not agreed on, or outside of the export");
      return;
    }
    const runs = (flags & CommandFlag.REQ_ONE) === 0 ? MOST_STATUS.runs : 1;
    const extents = await chosen.space.extents(offset, length, { ...MOST_STATUS, runs });
    const words = extents.flatMap((extent) => [extent.length, STATES[extent.kind]]);
    const body = u32(ALLOCATION_ID, ...words);
    await this.peer.send(encodeChunkHead(cookie, DONE, Chunk.BLOCK_STATUS, body.length), body);
  }

  /** The first byte of the range; undefined where the range is empty, or not inside the export. */
  private start(): number | undefined {
    const { offset, length } = this.request;
    if (length === 0 || offset + BigInt(length) > BigInt(this.session.chosen.space.size)) return undefined;
    return Number(offset);
  }

  /** Some bytes; undefined where they cannot be read and the client was told so. @param tell false: it cannot be told */
  private async piece(from: number, length: number, tell = true): Promise<Uint8Array | undefined> {
    const bytes = Buffer.alloc(length);
    try {
      await this.session.chosen.space.read(from, bytes);
      return bytes;
    } catch (error) {
      if (!(error instanceof QevmError) || !tell) throw error;
      await this.refuse(NbdError.EIO, error.message);
      return undefined;
    }
  }

  private async success(): Promise<void> {
    const { cookie } = this.request;
    await this.peer.send(
      this.session.structured ? encodeChunkHead(cookie, DONE, Chunk.NONE, 0) : encodeSimpleReply(cookie, 0),
    );
  }

  private async refuse(code: number, why: string): Promise<void> {
    const { cookie } = this.request;
    if (!this.session.structured) {
      await this.peer.send(encodeSimpleReply(cookie, code));
      return;
    }
    const message = Buffer.from(why.slice(0, 1000), "utf8");
    const head = encodeChunkHead(cookie, DONE, Chunk.ERROR, 6 + message.length);
    await this.peer.send(head, u32(code), u16(message.length), message);
  }
}
