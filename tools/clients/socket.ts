/** The bytes of a connection for the project's own clients, which share no code with src. */
import { connect, type Socket } from "node:net";

export class SocketClient {
  /** Everything that was received and not taken. */
  protected have: Buffer = Buffer.alloc(0);
  protected ended = false;
  private wake = (): void => undefined;

  protected constructor(readonly socket: Socket) {
    socket.on("data", (bytes: Buffer) => {
      this.have = Buffer.concat([this.have, bytes]);
      this.wake();
    });
    const end = (): void => {
      this.ended = true;
      this.wake();
    };
    socket.on("end", end).on("close", end).on("error", end);
  }

  /** The next bytes; undefined where the server has closed before that. */
  async bytes(length: number): Promise<Buffer | undefined> {
    while (this.have.length < length) {
      if (this.ended) return undefined;
      await this.more();
    }
    const bytes = this.have.subarray(0, length);
    this.have = this.have.subarray(length);
    return bytes;
  }

  /** Waits until the server closes. */
  async closed(): Promise<void> {
    while (!this.ended) await this.more();
  }

  /** Waits for more bytes, or the end. */
  protected async more(): Promise<void> {
    await new Promise<void>((resolve) => (this.wake = resolve));
  }
}

/** A connection to a unix socket, or to a port of this machine. */
export async function dialed(path: string | number): Promise<Socket> {
  const socket = typeof path === "number" ? connect(path, "127.0.0.1") : connect(path);
  await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  return socket;
}
