import type { ChildProcess } from "node:child_process";
import { readFileSync } from "node:fs";
import { QevmError } from "../../bytes/errors.js";

/**
 * A migration URI, as used by QEMU's `migrate` and `-incoming`.
 *
 * | URI             | what                                            |
 * |-----------------|-------------------------------------------------|
 * | `tcp:HOST:PORT` | a socket; `[::1]` for IPv6, HOST is optional    |
 * | `unix:PATH`     | a socket                                        |
 * | `exec:COMMAND`  | standard input or output of `sh -c COMMAND`     |
 * | `fd:N`          | a descriptor that this process was started with |
 */
export type MigrationUri =
  | { scheme: "tcp"; host: string | undefined; port: number }
  | { scheme: "unix"; path: string }
  | { scheme: "exec"; command: string }
  | { scheme: "fd"; fd: number };

/** Maximum length of a socket's path in Linux's sockaddr_un, without its NUL. The system would cut off the rest. */
const LONGEST = 107;

function checkSocketPath(path: string): void {
  const length = Buffer.byteLength(path);
  if (length <= LONGEST) return;
  const place = { expected: `at most ${LONGEST} bytes`, found: `${length}` };
  throw new QevmError("usage", "the path of a unix socket is too long", place);
}

/** Errors: usage, with a message that begins with `what`. */
export function parseMigrationUri(uri: string, what: string): MigrationUri {
  const wrong = (expected: string): QevmError => new QevmError("usage", what, { expected, found: JSON.stringify(uri) });
  const [, scheme = "", rest = ""] = /^([a-z]+):(.*)$/su.exec(uri) ?? [];
  switch (scheme) {
    case "tcp": {
      const [, bracketed, plain, port = ""] = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/u.exec(rest) ?? [];
      if (port === "" || Number(port) > 65_535) throw wrong("tcp:HOST:PORT");
      return { scheme, host: bracketed ?? (plain === "" ? undefined : plain), port: Number(port) };
    }
    case "unix":
      if (rest === "") throw wrong("unix:PATH");
      checkSocketPath(rest);
      return { scheme, path: rest };
    case "exec":
      if (rest === "") throw wrong("exec:COMMAND");
      return { scheme, command: rest };
    case "fd":
      if (!/^\d{1,6}$/u.test(rest)) throw wrong("fd:NUMBER");
      return { scheme, fd: Number(rest) };
    default:
      throw wrong("tcp:, unix:, exec: or fd:");
  }
}

/** Refuses TLS where there is no socket. Errors: usage. */
export function checkTls({ scheme }: MigrationUri, tls: unknown, uri: string): void {
  if (tls === undefined || scheme === "tcp" || scheme === "unix") return;
  throw new QevmError("usage", "TLS needs a socket", { expected: "tcp: or unix:", found: JSON.stringify(uri) });
}

/** Ends the program of an `exec:` URI with all that it has started (on Linux). Safe to call again. */
export function endProgram({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid !== undefined && exitCode === null && signalCode === null) endTree(pid);
}

function endTree(pid: number): void {
  let children = "";
  try {
    children = readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1");
    process.kill(pid, "SIGTERM");
  } catch {
    // It has ended, or there is no such list here.
  }
  for (const child of children.split(" ").filter((one) => one !== "")) endTree(Number(child));
}

/** Resolves when the program of an `exec:` URI has exited with 0. Errors: io, with the exit code or signal. */
export async function programEnded(child: ChildProcess, uri: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    child.once("error", (error) => reject(new QevmError("io", `${uri}: ${error.message}`, { cause: error })));
    child.once("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new QevmError("io", `${uri}: ended ${signal === null ? `with exit code ${code}` : `by ${signal}`}`));
    });
  });
}
