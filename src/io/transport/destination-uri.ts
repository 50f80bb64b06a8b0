import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { connect, type Socket } from "node:net";
import type { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { QevmError } from "../../bytes/errors.js";
import type { ByteSink } from "../../bytes/source.js";
import { textOf } from "./attempt.js";
import { checkTls, endProgram, parseMigrationUri, programEnded, type MigrationUri } from "./migration-uri.js";
import type { TlsConnector } from "./tls/connector.js";
import { beforeEnd } from "./unfinished.js";
import { WritableSink } from "./writable.js";

/** A destination for a stream. */
export interface Destination extends ByteSink {
  /**
   * Signals the end and waits until the destination has closed the socket or the program has exited. Errors: io (an
   * exit code other than 0, or a socket reset).
   * @param notify through TLS, send a close_notify, as QEMU does on multifd channels (and on no other)
   */
  end(notify?: boolean): Promise<void>;
  /** Aborts the connection. */
  abort(): void;
  /** A socket without TLS. */
  readonly plain?: boolean;
  /** Resolves when the destination has closed, with an error if any; never for a descriptor. */
  readonly over: Promise<unknown>;
}

/** Receives what a destination sends back. Must not throw. */
export type TakeAnswers = (bytes: Uint8Array) => Promise<void>;

/**
 * Connects to a QEMU migration URI (`MigrationUri`): a socket, the standard input of a command, or a descriptor.
 *
 * Data that a socket sends back (the return path) goes to `answers`, which is awaited before more is read, or is
 * dropped. Errors: usage (invalid URI, TLS without a socket), io (also: the TLS handshake failed, with the reason in
 * words).
 * @param tls credentials: then the connection is through TLS
 */
export async function openDestination(uri: string, answers?: TakeAnswers, tls?: TlsConnector): Promise<Destination> {
  checkDestination(uri, tls);
  const where = parseUri(uri);
  switch (where.scheme) {
    case "tcp":
      return await socketTo(
        connect({ ...ADDRESS, host: hostOf(where), port: where.port }),
        uri,
        answers,
        tls,
        hostOf(where),
      );
    case "unix":
      return await socketTo(connect({ path: where.path }), uri, answers, tls);
    case "exec":
      return program(where.command, uri);
    case "fd":
      return sinkOf(createWriteStream("", { fd: where.fd }), uri, new Promise(() => {}), false);
  }
}

/**
 * Of a host with several addresses each is tried for so many milliseconds, the last one as long as the system does. A
 * destination whose machine is gone is noticed by the system, when it has been silent for `keepAliveInitialDelay`.
 */
const ADDRESS = { autoSelectFamilyAttemptTimeout: 3000, keepAlive: true, keepAliveInitialDelay: 30_000 };

/** Refuses an invalid destination without connecting. Errors: usage. */
export function checkDestination(uri: string, tls?: TlsConnector): void {
  const where = parseUri(uri);
  checkTls(where, tls, uri);
  tls?.nameFor(where.scheme === "tcp" ? hostOf(where) : undefined);
}

function hostOf({ host }: { host: string | undefined }): string {
  return host ?? "localhost";
}

function parseUri(uri: string): MigrationUri {
  const where = parseMigrationUri(uri, "no such destination");
  if (where.scheme === "fd" && where.fd === 0) {
    throw new QevmError("usage", "no such destination", { expected: "fd:NUMBER", found: JSON.stringify(uri) });
  }
  return where;
}

async function socketTo(
  raw: Socket,
  uri: string,
  answers?: TakeAnswers,
  tls?: TlsConnector,
  host?: string,
): Promise<Destination> {
  await new Promise<void>((resolve, reject) => {
    raw.once("connect", resolve);
    raw.once("error", (error) => reject(new QevmError("io", `${uri}: ${textOf(error)}`, { cause: error })));
  });
  const through = await tls?.secure(raw, uri, host);
  const socket = through?.secured ?? raw;
  const closed = new Promise<void>((resolve, reject) => {
    // An error comes before "close". A destination that closes with unread bytes resets the socket, even after our last
    // byte.
    socket.once("error", (error) => reject(new QevmError("io", `${uri}: ${error.message}`, { cause: error })));
    socket.once("close", () => resolve());
  });
  // `end` reports the error.
  closed.catch(() => undefined);
  // Without a consumer the return path is still read, so that it does not block.
  if (answers === undefined) socket.resume();
  else {
    socket.on("data", (bytes) => {
      socket.pause();
      void answers(bytes).then(() => socket.resume());
    });
  }
  const sink = sinkOf(socket, uri, closed);
  if (through === undefined) return { ...sink, plain: true };
  const end = async (notify = false): Promise<void> => {
    if (notify) through.end.notify();
    await sink.end();
  };
  return { ...sink, end };
}

function program(command: string, uri: string): Destination {
  const child = spawn("/bin/sh", ["-c", command], { stdio: ["pipe", "inherit", "inherit"] });
  const ended = programEnded(child, uri);
  const ending = beforeEnd(() => endProgram(child));
  child.once("close", () => ending.forget());
  // `end` reports the error.
  ended.catch(() => undefined);
  const sink = sinkOf(child.stdin, uri, ended);
  const reading = async (work: () => void | Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      // How it ended says more than that it no longer reads.
      await Promise.race([ended, sleep(MOMENT, undefined, { ref: false })]);
      throw error;
    }
  };
  const abort = (): void => {
    sink.abort();
    endProgram(child);
  };
  return { ...sink, write: (chunk) => reading(() => sink.write(chunk)), end: () => reading(() => sink.end()), abort };
}

/** Milliseconds in which a program that no longer reads its input should end. */
const MOMENT = 1000;

function sinkOf(stream: Writable, uri: string, ended: Promise<void>, waits = true): Destination {
  const sink = new WritableSink(stream, uri);
  return {
    write: (chunk) => sink.write(chunk),
    gather: (pieces) => sink.gather(pieces),
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
