import { spawn } from "node:child_process";
import { createReadStream, statSync, unlinkSync } from "node:fs";
import { connect, createServer, type AddressInfo, type ListenOptions, type Server } from "node:net";
import type { Duplex, Readable, Writable } from "node:stream";
import { QevmError } from "../errors.js";
import { attempt } from "./file.js";

/** One connection of a source. */
export interface Connection {
  readonly input: Readable;
  /** The way back; undefined where there is none (programs, pipes). */
  readonly output: Writable | undefined;
  /** Rejects where a program failed. Resolves at once for sockets. */
  ended(): Promise<void>;
  /** Lets go of both ways. */
  destroy(): void;
}

/** An open ear. */
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
 * | URI             | what                                                              |
 * |-----------------|-------------------------------------------------------------------|
 * | `tcp:HOST:PORT` | a socket; `[::1]` for IPv6, port 0 for any that is free           |
 * | `unix:PATH`     | a socket                                                          |
 * | `exec:COMMAND`  | one stream: what `sh -c COMMAND` writes to its standard output    |
 * | `fd:N`          | one stream: a pipe or file that this process was started with     |
 *
 * Errors: usage (no such URI), io.
 */
export async function openListener(uri: string, take: (connection: Connection) => void): Promise<Listening> {
  const [, scheme = "", rest = ""] = /^([a-z]+):(.*)$/su.exec(uri) ?? [];
  switch (scheme) {
    case "tcp": {
      const [, bracketed, plain, port = ""] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/u.exec(rest) ?? [];
      if (port === "" || Number(port) > 65_535) throw badUri(uri, "tcp:HOST:PORT");
      const host = bracketed ?? (plain === "" ? undefined : plain);
      const server = await listen({ port: Number(port), ...(host === undefined ? {} : { host }) }, uri, take);
      const chosen = (server.address() as AddressInfo).port;
      return listening(uri.replace(/\d+$/u, `${chosen}`), server);
    }
    case "unix":
      if (rest === "") throw badUri(uri, "unix:PATH");
      return listening(uri, await listen({ path: rest }, uri, take));
    case "exec":
      if (rest === "") throw badUri(uri, "exec:COMMAND");
      take(program(rest, uri));
      return { uri, many: false, close: () => undefined };
    case "fd": {
      const fd = /^\d{1,6}$/u.test(rest) ? Number(rest) : Number.NaN;
      if (!(fd >= 0)) throw badUri(uri, "fd:NUMBER");
      take(oneWay(createReadStream("", { fd }), () => Promise.resolve()));
      return { uri, many: false, close: () => undefined };
    }
    default:
      throw badUri(uri, "tcp:, unix:, exec: or fd:");
  }
}

function badUri(uri: string, expected: string): QevmError {
  return new QevmError("usage", "no place to listen at", { expected, found: JSON.stringify(uri) });
}

async function listen(where: ListenOptions, uri: string, take: (connection: Connection) => void): Promise<Server> {
  // The source closes its end when all is said; what it is still to hear goes out before ours closes.
  const server = createServer({ allowHalfOpen: true }, (socket: Duplex) => {
    take({ input: socket, output: socket, ended: () => Promise.resolve(), destroy: () => void socket.destroy() });
  });
  // A socket that nobody listens at any more is in the way of nobody.
  if (where.path !== undefined && (await isStale(where.path))) attempt(where.path, () => unlinkSync(where.path!));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(new QevmError("io", `${uri}: ${error.message}`, { cause: error })));
    server.listen(where, resolve);
  });
  return server;
}

async function isStale(path: string): Promise<boolean> {
  if (statSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return false;
  const socket = connect(path);
  try {
    return await new Promise<boolean>((resolve) => {
      socket.once("connect", () => resolve(false));
      socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
    });
  } finally {
    socket.destroy();
  }
}

function listening(uri: string, server: Server): Listening {
  return { uri, many: true, close: () => void server.close() };
}

function program(command: string, uri: string): Connection {
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["ignore", "pipe", "inherit"] });
  const ended = new Promise<void>((resolve, reject) => {
    child.once("error", (error) => reject(new QevmError("io", `${uri}: ${error.message}`, { cause: error })));
    child.once("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new QevmError("io", `${uri}: ended ${signal === null ? `with exit code ${code}` : `by ${signal}`}`));
    });
  });
  ended.catch(() => undefined);
  return oneWay(child.stdout, () => ended);
}

function oneWay(input: Readable, ended: () => Promise<void>): Connection {
  return { input, output: undefined, ended, destroy: () => void input.destroy() };
}
