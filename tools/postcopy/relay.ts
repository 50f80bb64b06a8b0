/**
 * A relay between a migrating source and its destination that records every connection in both directions. It uses no
 * code of `src`, since it is the reference for the decoder.
 */
import { createConnection, createServer, type Server, type Socket } from "node:net";

/** Index of the channel, offset and number of bytes, in order of arrival; adjacent pieces of one channel are joined. */
export type Arrival = readonly [channel: number, offset: number, length: number];

/** One direction of one connection. */
export interface RelayedChannel {
  /** Number of the connection, in the order in which they were made. */
  readonly connection: number;
  readonly direction: "forth" | "back";
  readonly bytes: Buffer;
}

interface Part {
  readonly connection: number;
  readonly direction: "forth" | "back";
  readonly chunks: Buffer[];
  length: number;
}

/** A relay from one unix socket to another. Always `close()` it. */
export class Relay {
  /** What each side sent, in order of arrival. */
  readonly sequence: Arrival[];
  private readonly parts: Part[];
  private readonly sockets: Socket[] = [];
  private readonly ends: Promise<void>[] = [];
  private readonly server: Server;
  private connections: number;

  private constructor(
    private readonly to: string,
    before?: Relay,
  ) {
    this.sequence = before?.sequence ?? [];
    this.parts = before?.parts ?? [];
    this.connections = before?.connections ?? 0;
    this.server = createServer({ allowHalfOpen: true }, (socket) => this.accept(socket));
  }

  /** Listens at `from` and connects to `to` for every connection; both are paths in this process's view. */
  static async listen(from: string, to: string, before?: Relay): Promise<Relay> {
    const relay = new Relay(to, before);
    await new Promise<void>((resolve, reject) => {
      relay.server.once("error", reject);
      relay.server.listen(from, resolve);
    });
    return relay;
  }

  /** A relay between two other sockets that continues this one's list. */
  async next(from: string, to: string): Promise<Relay> {
    return await Relay.listen(from, to, this);
  }

  /** Every direction that carried data, in the order of its first byte. */
  get channels(): RelayedChannel[] {
    return this.parts.map(({ connection, direction, chunks }) => ({
      connection,
      direction,
      bytes: Buffer.concat(chunks),
    }));
  }

  /** Waits until every connection made so far has ended, for at most `timeout` milliseconds. */
  async ended(timeout: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeout);
    });
    await Promise.race([Promise.all(this.ends), late]);
    clearTimeout(timer);
  }

  close(): void {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }

  private accept(source: Socket): void {
    const connection = this.connections++;
    const destination = createConnection({ path: this.to, allowHalfOpen: true });
    this.sockets.push(source, destination);
    this.pump(source, destination, connection, "forth");
    this.pump(destination, source, connection, "back");
  }

  private pump(from: Socket, to: Socket, connection: number, direction: "forth" | "back"): void {
    const part: Part = { connection, direction, chunks: [], length: 0 };
    from.on("data", (bytes) => {
      if (part.length === 0) this.parts.push(part);
      this.note(this.parts.indexOf(part), part.length, bytes.length);
      part.chunks.push(bytes);
      part.length += bytes.length;
      if (!to.write(bytes)) {
        from.pause();
        to.once("drain", () => from.resume());
      }
    });
    from.on("end", () => to.end());
    from.on("error", () => to.destroy());
    this.ends.push(
      new Promise((resolve) => {
        from.once("close", () => resolve());
      }),
    );
  }

  private note(channel: number, offset: number, length: number): void {
    const last = this.sequence.at(-1);
    if (last?.[0] === channel) this.sequence[this.sequence.length - 1] = [channel, last[1], last[2] + length];
    else this.sequence.push([channel, offset, length]);
  }
}
