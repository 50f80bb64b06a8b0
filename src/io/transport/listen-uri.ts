import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { QevmError } from "../../bytes/errors.js";
import { parseMigrationUri, programEnded } from "./migration-uri.js";
import { freeSocketPath, ownSocket } from "./unix-listener.js";

/** One connection of a source. */
export interface Connection {
  /** Who it is: `HOST:PORT`, or the URI where that says all. */
  readonly peer: string;
  readonly input: Readable;
  /** The way back; undefined where there is none (programs, pipes). */
  readonly output: Writable | undefined;
  /** Rejects where a program failed. Resolves at once for sockets. */
  ended(): Promise<void>;
  /** Lets go of both ways. */
  destroy(): void;
}

/** Where connections of a source are waited for. */
export interface Listening {
  /** The URI by which it is reached: with the port that the system chose for port 0. */
  readonly uri: string;
  /** Whether more connections may come. */
  readonly many: boolean;
  close(): void;
}

/**
 * Waits where a source sends to, as QEMU does by `-incoming`. `take` is called with every connection.
 *
 * `tcp:` and `unix:` take many connections (port 0: any that is free); `exec:` and `fd:` give one stream.
 *
 * A unix socket whose process has ended is replaced; one of a living process and what is not a socket are refused. It is removed at the
 * end, also by signals. Errors: usage (no such URI, a unix path of more than 107 bytes), io.
 */
export async function openListener(uri: string, take: (connection: Connection) => void): Promise<Listening> {
  const where = parseMigrationUri(uri, "cannot listen");
  switch (where.scheme) {
    case "tcp": {
      const { host, port } = where;
      const server = await listen({ port, ...(host === undefined ? {} : { host }) }, uri, take);
      const chosen = (server.address() as AddressInfo).port;
      return { uri: uri.replace(/\d+$/u, `${chosen}`), many: true, close: () => void server.close() };
    }
    case "unix": {
      await freeSocketPath(where.path, uri);
      const own = ownSocket(where.path, await listen({ path: where.path }, uri, take));
      return { uri, many: true, close: () => own.close() };
    }
    case "exec":
      take(program(where.command, uri));
      return { uri, many: false, close: () => undefined };
    case "fd":
      take(oneWay(uri, createReadStream("", { fd: where.fd }), () => Promise.resolve()));
      return { uri, many: false, close: () => undefined };
  }
}

/** Seconds after which the system asks whether a silent peer is still there. */
const KEEP_ALIVE = 30;

async function listen(where: ListenOptions, uri: string, take: (connection: Connection) => void): Promise<Server> {
  // The source closes its end when all is said; what it is still to hear goes out before ours closes.
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    const { remoteAddress, remotePort } = socket;
    const peer = remoteAddress === undefined ? uri : `${remoteAddress}:${remotePort}`;
    socket.setKeepAlive(true, KEEP_ALIVE * 1000);
    take({ peer, input: socket, output: socket, ended: () => Promise.resolve(), destroy: () => void socket.destroy() });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(new QevmError("io", `${uri}: ${error.message}`, { cause: error })));
    server.listen(where, resolve);
  });
  // No file descriptor is left for a connection: those that are open go on.
  server.on("error", () => undefined);
  return server;
}

function program(command: string, uri: string): Connection {
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = programEnded(child, uri);
  ended.catch(() => undefined);
  return oneWay(uri, child.stdout, () => ended);
}

function oneWay(peer: string, input: Readable, ended: () => Promise<void>): Connection {
  return { peer, input, output: undefined, ended, destroy: () => void input.destroy() };
}
