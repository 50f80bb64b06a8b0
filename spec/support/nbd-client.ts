/** A client of the NBD protocol that shares no code with src, and can say anything. */
import { dialed, SocketClient } from "../../tools/clients/socket.js";

export class NbdClient extends SocketClient {
  static async connect(path: string): Promise<NbdClient> {
    return new NbdClient(await dialed(path));
  }

  send(hex: string, ...rest: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat([Buffer.from(hex.replaceAll(" ", ""), "hex"), ...rest]));
  }

  /** The greeting, and the client's flags. */
  async greet(flags = "00000003"): Promise<string | undefined> {
    const greeting = await this.bytes(18);
    this.send(flags);
    return greeting?.toString("hex");
  }

  /** An option, with a length that may be a lie. */
  option(number: number, data: Uint8Array = Buffer.alloc(0), length = data.length): void {
    const head = Buffer.alloc(8);
    head.writeUInt32BE(number, 0);
    head.writeUInt32BE(length, 4);
    this.socket.write(Buffer.concat([Buffer.from("IHAVEOPT"), head, data]));
  }

  /** The next reply to an option: its type, and its data. */
  async reply(): Promise<{ option: number; type: number; data: Buffer } | undefined> {
    const head = await this.bytes(20);
    if (head?.readBigUInt64BE(0) !== 0x0003_e889_0455_65a9n) return undefined;
    const data = await this.bytes(head.readUInt32BE(16));
    return data === undefined ? undefined : { option: head.readUInt32BE(8), type: head.readUInt32BE(12), data };
  }

  /** NBD_OPT_GO, with all its replies; the type of the last. */
  async go(name = ""): Promise<number | undefined> {
    this.option(7, named(name, Buffer.alloc(2)));
    for (;;) {
      const reply = await this.reply();
      if (reply?.type !== 3) return reply?.type;
    }
  }

  request(type: number, offset: number | bigint, length: number, flags = 0): void {
    const bytes = Buffer.alloc(28);
    bytes.writeUInt32BE(0x2560_9513, 0);
    bytes.writeUInt16BE(flags, 4);
    bytes.writeUInt16BE(type, 6);
    bytes.write("cookies!", 8, "latin1");
    bytes.writeBigUInt64BE(BigInt(offset), 16);
    bytes.writeUInt32BE(length, 24);
    this.socket.write(bytes);
  }

  /** The error of a simple reply. */
  async simple(): Promise<number | undefined> {
    const head = await this.bytes(16);
    return head?.readUInt32BE(0) === 0x6744_6698 && head.toString("latin1", 8) === "cookies!"
      ? head.readUInt32BE(4)
      : undefined;
  }

  /** The next chunk of a structured reply. */
  async chunk(): Promise<{ flags: number; type: number; data: Buffer } | undefined> {
    const head = await this.bytes(20);
    if (head?.readUInt32BE(0) !== 0x668e_33ef || head.toString("latin1", 8, 16) !== "cookies!") return undefined;
    const data = await this.bytes(head.readUInt32BE(16));
    return data === undefined ? undefined : { flags: head.readUInt16BE(4), type: head.readUInt16BE(6), data };
  }

  /** A structured read put together, and how it was sent; a number is an error. */
  async read(offset: number, length: number, flags = 0): Promise<{ bytes: Buffer; types: number[] } | number> {
    this.request(0, offset, length, flags);
    const bytes = Buffer.alloc(length, 0xee);
    const types: number[] = [];
    for (;;) {
      const chunk = await this.chunk();
      if (chunk === undefined) return -1;
      const { type, data } = chunk;
      if (type === 0x8001) return data.readUInt32BE(0);
      types.push(type);
      const at = type === 0 ? 0 : Number(data.readBigUInt64BE(0)) - offset;
      if (type === 1) data.copy(bytes, at, 8);
      if (type === 2) bytes.fill(0, at, at + data.readUInt32BE(8));
      if ((chunk.flags & 1) === 1) return { bytes, types };
    }
  }
}

/** u32 length, name, and what follows. */
export function named(name: string, rest: Uint8Array = Buffer.alloc(0)): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(Buffer.byteLength(name));
  return Buffer.concat([length, Buffer.from(name), rest]);
}

/** The data of a LIST or SET of meta contexts. */
export function contexts(name: string, ...queries: readonly string[]): Buffer {
  const count = Buffer.alloc(4);
  count.writeUInt32BE(queries.length);
  return named(name, Buffer.concat([count, ...queries.map((query) => named(query))]));
}
