/** A client of GDB's remote protocol that shares no code with src: for QEMU's stub and for ours. */
import { dialed, SocketClient } from "./socket.js";

export class GdbClient extends SocketClient {
  /** @param path of a unix socket, or a port of this machine */
  static async connect(path: string | number): Promise<GdbClient> {
    return new GdbClient(await dialed(path));
  }

  /** The next byte; undefined at the end. */
  async byte(): Promise<number | undefined> {
    return (await this.bytes(1))?.[0];
  }

  /** The next packet's content, acknowledged; undefined at the end. */
  async packet(): Promise<Buffer | undefined> {
    for (;;) {
      const byte = await this.byte();
      if (byte === undefined) return undefined;
      if (byte === 0x24) break;
    }
    for (;;) {
      const end = this.have.indexOf(0x23);
      if (end >= 0 && this.have.length >= end + 3) {
        const raw = this.have.subarray(0, end);
        this.have = this.have.subarray(end + 3);
        this.socket.write("+");
        return plain(raw);
      }
      if (this.ended) return undefined;
      await this.more();
    }
  }

  /** Sends a packet, and returns the reply. */
  async ask(content: string | Buffer): Promise<Buffer | undefined> {
    this.socket.write(framed(content));
    return await this.packet();
  }

  async text(content: string): Promise<string> {
    return (await this.ask(content))?.toString("latin1") ?? "closed";
  }

  /** `qXfer:features:read`, piece by piece, with what it includes. */
  async description(): Promise<string> {
    const one = async (name: string): Promise<string> => {
      let all = "";
      for (;;) {
        const piece = await this.text(`qXfer:features:read:${name}:${all.length.toString(16)},7f0`);
        all += piece.slice(1);
        if (!piece.startsWith("m")) return all;
      }
    };
    let text = await one("target.xml");
    for (const [, name] of text.matchAll(/<xi:include href="([^"]+)"/gu)) text += await one(name!);
    return text;
  }

  /** GDB's numbers of the registers, by name. */
  async numbers(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    let next = 0;
    const text = (await this.description()).replaceAll(/<!--.*?-->/gsu, "");
    for (const [, attributes = ""] of text.matchAll(/<reg ([^>]*?)\/>/gu)) {
      const [, name = ""] = /\bname="([^"]+)"/u.exec(attributes) ?? [];
      const [, given] = /\bregnum="(\d+)"/u.exec(attributes) ?? [];
      const number = given === undefined ? next : Number(given);
      if (!found.has(name)) found.set(name, number);
      next = number + 1;
    }
    return found;
  }

  /** Runs a monitor command, and returns what it prints. */
  async monitor(line: string): Promise<string> {
    this.socket.write(framed(`qRcmd,${Buffer.from(line).toString("hex")}`));
    let text = "";
    for (;;) {
      const packet = (await this.packet())?.toString("latin1");
      if (packet === undefined || packet === "OK" || packet.startsWith("E")) return text;
      text += Buffer.from(packet.slice(1), "hex").toString();
    }
  }
}

export function framed(content: string | Buffer): Buffer {
  const bytes = typeof content === "string" ? Buffer.from(content, "latin1") : content;
  const sum = bytes.reduce((all, byte) => (all + byte) & 0xff, 0);
  return Buffer.concat([Buffer.from("$"), bytes, Buffer.from(`#${sum.toString(16).padStart(2, "0")}`)]);
}

/** Without escapes and runs. */
function plain(raw: Buffer): Buffer {
  const bytes: number[] = [];
  for (let k = 0; k < raw.length; k++) {
    if (raw[k] === 0x7d) bytes.push(raw[++k]! ^ 0x20);
    else if (raw[k] === 0x2a) for (let left = raw[++k]! - 29; left > 0; left--) bytes.push(bytes.at(-1)!);
    else bytes.push(raw[k]!);
  }
  return Buffer.from(bytes);
}
