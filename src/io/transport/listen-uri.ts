import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { createServer, type AddressInfo, type ListenOptions, type Server, type Socket } from "node:net";
import type { Readable } from "node:stream";
import { QevmError } from "../../bytes/errors.js";
import { checkTls, endProgram, parseMigrationUri, programEnded } from "./migration-uri.js";
import type { Connection } from "./connection.js";
import type { TlsListener } from "./tls/listener.js";
import { beforeEnd } from "./unfinished.js";
import { freeSocketPath, ownSocket } from "./unix-listener.js";

export type { Connection } from "./connection.js";

/** A listener for connections from a source. */
export interface Listening {
  /** The URI to connect to, with the port that the system chose for port 0. */
  readonly uri: string;
  /** Whether it accepts more than one connection. */
  readonly many: boolean;
  close(): void;
}

/**
 * Listens for a source, like QEMU's `-incoming`. `take` is called with every connection.
 *
 * `tcp:` and `unix:` accept many connections (port 0: any free port; without a host only from this machine); `exec:` and
 * `fd:` are one stream.
 *
 * A unix socket whose process has ended is replaced. A socket of a running process, or a file that is not a socket, is
 * refused. The socket is removed at the end, also on signals. Errors: usage (invalid URI, a unix path of more than 107
 * bytes, TLS with `exec:` or `fd:`), io.
 * @param tls credentials: then every connection has a handshake, `ready`
 */
export async function openListener(
  uri: string,
  take: (connection: Connection) => void,
  tls?: TlsListener,
): Promise<Listening> {
  const where = parseMigrationUri(uri, "cannot listen");
  checkTls(where, tls, uri);
  switch (where.scheme) {
    case "tcp": {
      const { host = LOOPBACK, port } = where;
      const server = await listen({ port, host }, uri, take, tls);
      const chosen = (server.address() as AddressInfo).port;
      const place = where.host === undefined ? `tcp:${LOOPBACK}:` : uri.replace(/\d+$/u, "");
      return { uri: `${place}${chosen}`, many: true, close: () => void server.close() };
    }
    case "unix": {
      await freeSocketPath(where.path, uri);
      const own = ownSocket(where.path, await listen({ path: where.path }, uri, take, tls));
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

/** Where is listened if no address is named. */
const LOOPBACK = "127.0.0.1";
/** Seconds of silence before the system checks that a peer is still there. */
const KEEP_ALIVE = 30;

async function listen(
  where: ListenOptions,
  uri: string,
  take: (connection: Connection) => void,
  tls: TlsListener | undefined,
): Promise<Server> {
  // The source may close its end first; the remaining replies are sent before our end closes.
  const server = createServer({ allowHalfOpen: true }, (socket: Socket) => {
    const { remoteAddress, remotePort } = socket;
    const peer = remoteAddress === undefined ? uri : `${remoteAddress}:${remotePort}`;
    socket.setKeepAlive(true, KEEP_ALIVE * 1000);
    if (tls !== undefined) take(Object.assign(tls.accept(socket, peer), { address: remoteAddress }));
    else
      take({
        peer,
        address: remoteAddress,
        input: socket,
        output: socket,
        ended: () => Promise.resolve(),
        destroy: () => void socket.destroy(),
      });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(new QevmError("io", `${uri}: ${error.message}`, { cause: error })));
    server.listen(where, resolve);
  });
  // No file descriptor is left for a new connection; open ones continue.
  server.on("error", () => undefined);
  return server;
}

function program(command: string, uri: string): Connection {
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = programEnded(child, uri);
  ended.catch(() => undefined);
  const ending = beforeEnd(() => endProgram(child));
  child.once("close", () => ending.forget());
  const one = oneWay(uri, child.stdout, () => ended);
  const destroy = (): void => {
    one.destroy();
    endProgram(child);
  };
  return { ...one, destroy };
}

function oneWay(peer: string, input: Readable, ended: () => Promise<void>): Connection {
  return { peer, input, output: undefined, ended, destroy: () => void input.destroy() };
}
