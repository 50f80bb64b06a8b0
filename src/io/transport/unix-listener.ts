import { existsSync, lstatSync, readFileSync, unlinkSync } from "node:fs";
import { connect, type Server } from "node:net";
import { dirname, resolve } from "node:path";
import { QevmError } from "../../bytes/errors.js";
import { attempt } from "./attempt.js";
import { beforeEnd } from "./unfinished.js";

/**
 * Frees a path to listen on: removes a socket that no process has bound. Errors: io (a socket of a running process, or a
 * file that is not a socket).
 */
export async function freeSocketPath(path: string, uri: string): Promise<void> {
  const stat = attempt(path, () => lstatSync(path, { throwIfNoEntry: false }));
  if (stat === undefined) {
    // Node would say EACCES.
    if (!existsSync(dirname(path))) throw new QevmError("io", `${uri}: there is no folder ${dirname(path)}`);
    return;
  }
  if (!stat.isSocket()) throw new QevmError("io", `${uri}: ${path} exists and is not a socket`);
  if (!(await isDead(path))) throw new QevmError("io", `${uri}: another process uses this socket`);
  // Another process may have taken the path over meanwhile.
  if (inodeOf(path) === inode(stat)) attempt(path, () => unlinkSync(path));
}

/** Closes a server and removes its socket, unless the path is another socket by now. */
export function ownSocket(path: string, server: Server): { close(): void } {
  const own = inodeOf(path);
  const isOurs = (): boolean => own !== undefined && inodeOf(path) === own;
  const ending = beforeEnd(() => {
    if (isOurs()) unlinkSync(path);
  });
  return {
    close: () => {
      ending.forget();
      // Node's close removes whatever file has the name.
      if (isOurs()) server.close();
      else server.unref();
    },
  };
}

/**
 * Nothing listens, and no process has it bound (a process that has bound but not yet listened refuses connections too).
 */
async function isDead(path: string): Promise<boolean> {
  const socket = connect(path);
  try {
    const refused = await new Promise<boolean>((done) => {
      socket.once("connect", () => done(false));
      socket.once("error", (error: NodeJS.ErrnoException) => done(error.code === "ECONNREFUSED"));
    });
    return refused && !isBound(path);
  } finally {
    socket.destroy();
  }
}

/** Whether the system lists a socket bound to this path. Source: Linux, /proc/net/unix, the last column. */
function isBound(path: string): boolean {
  let list: string;
  try {
    list = readFileSync("/proc/net/unix", "latin1");
  } catch {
    return false;
  }
  const name = Buffer.from(path, "utf8").toString("latin1");
  const full = Buffer.from(resolve(path), "utf8").toString("latin1");
  return list.split("\n").some((line) => line.endsWith(` ${name}`) || line.endsWith(` ${full}`));
}

function inodeOf(path: string): string | undefined {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat === undefined ? undefined : inode(stat);
}

function inode({ dev, ino }: { dev: number; ino: number }): string {
  return `${dev}:${ino}`;
}
