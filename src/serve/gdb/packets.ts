import { PeerGone, type Peer } from "../peer.js";

/** Bytes of a packet's content that a client may send. */
export const PACKET_SIZE = 0x4000;
/** Bytes until a packet must have ended: a little more than the client was told. */
const MOST_BYTES = PACKET_SIZE + 1024;
/** Times that a client may refuse a packet in a row. */
const MOST_REPEATS = 10;

const [DOLLAR, HASH, ESCAPE, STAR, PLUS, MINUS, INTERRUPT] = [0x24, 0x23, 0x7d, 0x2a, 0x2b, 0x2d, 0x03];
const HEX = /^[0-9a-f]{2}$/iu;

/** Packets of the GDB remote protocol: `$content#sum`, each acknowledged until both sides agree not to. */
export class Packets {
  private readonly buffer = Buffer.alloc(1 << 16);
  private at = 0;
  private end = 0;
  private last: Buffer | undefined;
  private repeats = 0;
  /** Whether packets are acknowledged. */
  acknowledge = true;

  constructor(private readonly peer: Peer) {}

  /** The next packet with a right sum; a lone interrupt is an empty one. Errors: `PeerGone`, too long a packet too. */
  async next(): Promise<Buffer> {
    for (;;) {
      const byte = await this.byte(true);
      if (byte === INTERRUPT) return Buffer.from([INTERRUPT]);
      if (byte === PLUS) this.repeats = 0;
      if (byte === MINUS) await this.repeat();
      if (byte !== DOLLAR) continue;
      const content = await this.content();
      if (content === undefined) {
        if (this.acknowledge) await this.peer.send(Buffer.from("-"));
        continue;
      }
      if (this.acknowledge) await this.peer.send(Buffer.from("+"));
      this.peer.welcome = true;
      return content;
    }
  }

  /** Sends a packet; bytes that the protocol uses are escaped. */
  async send(content: string | Uint8Array): Promise<void> {
    const bytes = typeof content === "string" ? Buffer.from(content, "latin1") : content;
    const packet = Buffer.alloc(2 * bytes.length + 4);
    packet[0] = DOLLAR;
    let at = 1;
    let sum = 0;
    const put = (byte: number): void => {
      packet[at++] = byte;
      sum = (sum + byte) & 0xff;
    };
    for (const byte of bytes) {
      if (byte === DOLLAR || byte === HASH || byte === ESCAPE || byte === STAR) {
        put(ESCAPE);
        put(byte ^ 0x20);
      } else put(byte);
    }
    packet[at++] = HASH;
    at += packet.write(sum.toString(16).padStart(2, "0"), at, "latin1");
    this.last = packet.subarray(0, at);
    await this.peer.send(this.last);
  }

  private async repeat(): Promise<void> {
    if (this.last === undefined || !this.acknowledge) return;
    if (++this.repeats > MOST_REPEATS) throw new PeerGone("it takes no packet");
    await this.peer.send(this.last);
  }

  /** A packet's content without escapes; undefined where the sum is wrong. */
  private async content(): Promise<Buffer | undefined> {
    const bytes: number[] = [];
    let sum = 0;
    let escaped = false;
    for (let count = 0; ; count++) {
      const byte = await this.byte(false);
      if (byte === HASH) break;
      // A new packet begins: the one before was cut.
      if (byte === DOLLAR) {
        bytes.length = 0;
        sum = 0;
        escaped = false;
        continue;
      }
      if (count > MOST_BYTES) throw new PeerGone("too long a packet");
      sum = (sum + byte) & 0xff;
      if (escaped) bytes.push(byte ^ 0x20);
      else if (byte !== ESCAPE) bytes.push(byte);
      escaped = !escaped && byte === ESCAPE;
    }
    const digits = String.fromCharCode(await this.byte(false), await this.byte(false));
    const right = HEX.test(digits) && Number.parseInt(digits, 16) === sum;
    return right || !this.acknowledge ? Buffer.from(bytes) : undefined;
  }

  /** @param idle whether it may take any time */
  private async byte(idle: boolean): Promise<number> {
    if (this.at === this.end) {
      const some = async (): Promise<number> => await this.peer.some(this.buffer);
      this.end = await (idle ? some() : this.peer.timed(some));
      this.at = 0;
    }
    return this.buffer[this.at++]!;
  }
}
