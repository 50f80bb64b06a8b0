import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { connect, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { QevmError } from "../../bytes/errors.js";
import type { ByteSink } from "../../bytes/source.js";
import { parseMigrationUri, programEnded, type MigrationUri } from "./migration-uri.js";
import { WritableSink } from "./writable.js";

/** A destination that takes a stream. */
export interface Destination extends ByteSink {
  /**
   * Tells that all bytes were written, and waits until the destination has let go: the socket closed, the program ended.
   * A program that ends with another exit code than 0, or a socket reset, is the error `io`.
   */
  end(): Promise<void>;
  /** Gives up. */
  abort(): void;
  /** Resolves when the destination has let go, with what was wrong; never for a descriptor. */
  readonly over: Promise<unknown>;
}

/** Takes what a destination sends back. It does not throw. */
export type TakeAnswers = (bytes: Uint8Array) => Promise<void>;

/**
 * Connects to what QEMU calls a migration URI.
 * (`MigrationUri`): a socket, the standard input of a command, a descriptor.
 *
 * What a socket sends back (the return path) is handed to `answers`, which is waited for before more is read, or else dropped. Errors: usage (no such URI), io.
 */
export async function openDestination(uri: string, answers?: TakeAnswers): Promise<Destination> {
  const where = parseUri(uri);
  switch (where.scheme) {
    case "tcp":
      return await socketTo(connect({ host: where.host ?? "localhost", port: where.port }), uri, answers);
    case "unix":
      return await socketTo(connect({ path: where.path }), uri, answers);
    case "exec":
      return program(where.command, uri);
    case "fd":
      return sinkOf(createWriteStream("", { fd: where.fd }), uri, new Promise(() => {}), false);
  }
}

/** Refuses what is no destination, without connecting. Errors: usage. */
export function checkDestination(uri: string): void {
  parseUri(uri);
}

function parseUri(uri: string): MigrationUri {
  const where = parseMigrationUri(uri, "no such destination");
  if (where.scheme === "fd" && where.fd === 0) {
    throw new QevmError("usage", "no such destination", { expected: "fd:NUMBER", found: JSON.stringify(uri) });
  }
  return where;
}

async function socketTo(socket: Socket, uri: string, answers?: TakeAnswers): Promise<Destination> {
  await new Promise<void>((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("error", (error) => reject(new QevmError("io", `${uri}: ${error.message}`, { cause: error })));
  });
  const closed = new Promise<void>((resolve, reject) => {
    // An error comes before "close". A destination that leaves with bytes unread resets the socket, also behind our last one.
    socket.once("error", (error) => reject(new QevmError("io", `${uri}: ${error.message}`, { cause: error })));
    socket.once("close", () => resolve());
  });
  // Whoever waits for the end hears of it.
  closed.catch(() => undefined);
  // Nobody may listen to the return path, but it must not fill up.
  if (answers === undefined) socket.resume();
  else {
    socket.on("data", (bytes) => {
      socket.pause();
      void answers(bytes).then(() => socket.resume());
    });
  }
  return sinkOf(socket, uri, closed);
}

function program(command: string, uri: string): Destination {
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["pipe", "inherit", "inherit"] });
  const ended = programEnded(child, uri);
  // Whoever waits for the end hears of it.
  ended.catch(() => undefined);
  return sinkOf(child.stdin, uri, ended);
}

function sinkOf(stream: Writable, uri: string, ended: Promise<void>, waits = true): Destination {
  const sink = new WritableSink(stream, uri);
  return {
    write: (chunk) => sink.write(chunk),
    end: async () => {
      await sink.end();
      if (waits) await ended;
    },
    abort: () => {
      stream.destroy();
    },
    over: ended.then(
      () => undefined,
      (error: unknown) => error,
    ),
  };
}
