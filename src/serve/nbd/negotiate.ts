import type { Peer } from "../peer.js";
import { EXPORT_FLAGS, MOST_BYTES, type NbdExport, type NbdExports } from "./exports.js";
import {
  encodeOptionReply,
  Handshake,
  Info,
  NBD_MAGIC,
  Option,
  OPTION_MAGIC,
  OptionReply,
  u16,
  u32,
  u64,
} from "./protocol.js";

/** What a client and the server have agreed on. */
export interface Session {
  chosen: NbdExport;
  /** Whether replies are structured. */
  structured: boolean;
  /** Whether the client may ask for `base:allocation`. */
  allocation: boolean;
}

/** Milliseconds for all of it. */
const LIMIT = 30_000;
/** Options of one client, and bytes of one option. */
const MOST_OPTIONS = 1000;
const MOST_DATA = 1 << 16;
/** The context's name, and its number on the wire. */
const ALLOCATION = "base:allocation";
export const ALLOCATION_ID = 1;

/** Names are UTF-8 on the wire. */
function text(value: string): Buffer {
  return Buffer.from(value, "utf8");
}

/** Negotiates with a client (fixed newstyle). Undefined: it has ended the talk. Errors: `PeerGone`. */
export async function negotiate(peer: Peer, exports: NbdExports): Promise<Session | undefined> {
  return await peer.timed(async () => await new Negotiation(peer, exports).run(), LIMIT);
}

class Negotiation {
  private structured = false;
  /** The export that `base:allocation` was asked for; undefined: it was not. */
  private allocationOf: NbdExport | undefined;

  constructor(
    private readonly peer: Peer,
    private readonly exports: NbdExports,
  ) {}

  async run(): Promise<Session | undefined> {
    const { peer } = this;
    await peer.send(NBD_MAGIC, OPTION_MAGIC, u16(Handshake.FIXED_NEWSTYLE | Handshake.NO_ZEROES));
    const flags = (await peer.bytes(4)).readUInt32BE();
    if ((flags & ~(Handshake.FIXED_NEWSTYLE | Handshake.NO_ZEROES)) !== 0) return undefined;
    for (let count = 0; count < MOST_OPTIONS; count++) {
      const head = await peer.bytes(16);
      if (!head.subarray(0, 8).equals(OPTION_MAGIC)) return undefined;
      peer.welcome = true;
      const option = head.readUInt32BE(8);
      const length = head.readUInt32BE(12);
      if (length > MOST_DATA) {
        if (option === Option.EXPORT_NAME) return undefined;
        await peer.discard(length);
        await this.reply(option, OptionReply.ERR_TOO_BIG);
        continue;
      }
      const data = await peer.bytes(length);
      if (option === Option.ABORT) {
        await this.reply(option, OptionReply.ACK);
        return undefined;
      }
      if (option === Option.EXPORT_NAME) return await this.exportName(data.toString("utf8"), flags);
      const chosen = await this.take(option, data);
      if (chosen !== undefined) return this.session(chosen);
    }
    return undefined;
  }

  /** Returns the export where the negotiation is over. */
  private async take(option: number, data: Buffer): Promise<NbdExport | undefined> {
    switch (option) {
      case Option.LIST:
        await (data.length > 0 ? this.reply(option, OptionReply.ERR_INVALID) : this.list());
        return undefined;
      case Option.STRUCTURED_REPLY:
        this.structured ||= data.length === 0;
        await this.reply(option, data.length === 0 ? OptionReply.ACK : OptionReply.ERR_INVALID);
        return undefined;
      case Option.INFO:
      case Option.GO: {
        const found = await this.info(option, data);
        return option === Option.GO ? found : undefined;
      }
      case Option.LIST_META_CONTEXT:
      case Option.SET_META_CONTEXT:
        await this.contexts(option, data);
        return undefined;
      default:
        await this.reply(option, OptionReply.ERR_UNSUP);
        return undefined;
    }
  }

  /** The old end of the negotiation, without a way to refuse. */
  private async exportName(name: string, flags: number): Promise<Session | undefined> {
    const chosen = this.exports.find(name);
    if (chosen === undefined) return undefined;
    const zeros = Buffer.alloc((flags & Handshake.NO_ZEROES) === 0 ? 124 : 0);
    await this.peer.send(u64(chosen.space.size), u16(EXPORT_FLAGS), zeros);
    return this.session(chosen);
  }

  private session(chosen: NbdExport): Session {
    return { chosen, structured: this.structured, allocation: this.structured && this.allocationOf === chosen };
  }

  private async list(): Promise<void> {
    for (const { name, description } of this.exports.list()) {
      const bytes = text(name);
      await this.reply(Option.LIST, OptionReply.SERVER, u32(bytes.length), bytes, text(description));
    }
    await this.reply(Option.LIST, OptionReply.ACK);
  }

  /** u32 name length, name, u16 count, a u16 each. */
  private async info(option: number, data: Buffer): Promise<NbdExport | undefined> {
    const named = nameIn(data);
    const rest = named?.rest;
    if (rest === undefined || rest.length < 2 || rest.length !== 2 + 2 * rest.readUInt16BE(0)) {
      await this.reply(option, OptionReply.ERR_INVALID);
      return undefined;
    }
    const found = this.exports.find(named!.name);
    if (found === undefined) {
      await this.reply(option, OptionReply.ERR_UNKNOWN, text("no such export"));
      return undefined;
    }
    const asked = new Set<number>();
    for (let at = 2; at < rest.length; at += 2) asked.add(rest.readUInt16BE(at));
    await this.reply(option, OptionReply.INFO, u16(Info.EXPORT), u64(found.space.size), u16(EXPORT_FLAGS));
    if (asked.has(Info.NAME)) await this.reply(option, OptionReply.INFO, u16(Info.NAME), text(found.name));
    if (asked.has(Info.DESCRIPTION)) {
      await this.reply(option, OptionReply.INFO, u16(Info.DESCRIPTION), text(found.description));
    }
    if (asked.has(Info.BLOCK_SIZE)) {
      await this.reply(option, OptionReply.INFO, u16(Info.BLOCK_SIZE), u32(1, found.space.pageSize, MOST_BYTES));
    }
    await this.reply(option, OptionReply.ACK);
    return found;
  }

  /** u32 name length, name, u32 count, each query with its u32 length. */
  private async contexts(option: number, data: Buffer): Promise<void> {
    const set = option === Option.SET_META_CONTEXT;
    if (set) this.allocationOf = undefined;
    const named = nameIn(data);
    const queries = named === undefined ? undefined : queriesIn(named.rest);
    if (named === undefined || queries === undefined || (set && !this.structured)) {
      await this.reply(option, OptionReply.ERR_INVALID);
      return;
    }
    const found = this.exports.find(named.name);
    if (found === undefined) {
      await this.reply(option, OptionReply.ERR_UNKNOWN, text("no such export"));
      return;
    }
    const all = !set && (queries.length === 0 || queries.includes("base:"));
    if (all || queries.includes(ALLOCATION)) {
      if (set) this.allocationOf = found;
      await this.reply(option, OptionReply.META_CONTEXT, u32(set ? ALLOCATION_ID : 0), text(ALLOCATION));
    }
    await this.reply(option, OptionReply.ACK);
  }

  private async reply(option: number, type: number, ...data: readonly Uint8Array[]): Promise<void> {
    await this.peer.send(encodeOptionReply(option, type, ...data));
  }
}

/** A name with its length, and what follows; undefined where the length is wrong. */
function nameIn(data: Buffer): { name: string; rest: Buffer } | undefined {
  if (data.length < 4) return undefined;
  const end = 4 + data.readUInt32BE(0);
  if (end > data.length) return undefined;
  return { name: data.toString("utf8", 4, end), rest: data.subarray(end) };
}

/** The queries; undefined where they do not fill the data exactly. */
function queriesIn(data: Buffer): string[] | undefined {
  if (data.length < 4) return undefined;
  const queries: string[] = [];
  let rest = data.subarray(4);
  for (let left = data.readUInt32BE(0); left > 0; left--) {
    const query = nameIn(rest);
    if (query === undefined) return undefined;
    queries.push(query.name);
    ({ rest } = query);
  }
  return rest.length === 0 ? queries : undefined;
}
