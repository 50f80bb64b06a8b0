/** Peers in this process that break off, and what is left of it. */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { dial } from "./receiving.js";

/** A small generator of numbers below 2^32, the same for the same seed. */
export function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Sends channels side by side, the main one first, and breaks all off after so many bytes of all of them. */
export async function sendUntil(
  uri: string,
  channels: readonly Uint8Array[],
  cut: number,
  reset = false,
): Promise<void> {
  const sockets: Socket[] = [];
  for (const _ of channels) {
    const socket = await dial(uri);
    // As QEMU, it gives up when the other side has closed.
    socket.resume().on("end", () => socket.destroy());
    sockets.push(socket);
  }
  let left = cut;
  const rest = channels.map((bytes) => bytes);
  while (left > 0 && rest.some(({ length }) => length > 0)) {
    for (const [k, bytes] of rest.entries()) {
      const piece = bytes.subarray(0, Math.min(left, 1 + (bytes.length >> 2), 40_000));
      rest[k] = bytes.subarray(piece.length);
      left -= piece.length;
      if (piece.length > 0) sockets[k]!.write(piece);
    }
    await sleep(1);
  }
  // A reset overtakes what was sent before it: a listener that has read nothing would not know of a migration.
  if (reset) await sleep(50);
  for (const socket of sockets) {
    if (reset) socket.resetAndDestroy();
    else socket.destroySoon();
  }
}

/** A destination on a port of its own; `serve` has each connection. */
export async function withDestination<T>(
  serve: (socket: Socket) => void,
  use: (uri: string) => Promise<T>,
): Promise<T> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  try {
    return await use(`tcp:127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
}

/** A destination that reads so many bytes in all and then leaves every connection. */
export async function leavingAfter(bytes: number, use: (uri: string) => Promise<void>): Promise<void> {
  const sockets: Socket[] = [];
  let left = bytes;
  const serve = (socket: Socket): void => {
    sockets.push(socket);
    socket.on("data", (chunk) => {
      left -= chunk.length;
      if (left <= 0) for (const one of sockets) one.destroy();
    });
    socket.on("end", () => socket.end());
    if (left <= 0) socket.destroy();
  };
  await withDestination(serve, use);
}

/** What this process holds open, besides what the test itself does: files and sockets, timers, child processes. */
export function held(): { descriptors: string[]; files: string[]; children: string } {
  const links = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, "utf8");
  return {
    descriptors: links.filter((link) => link.startsWith("socket:") || link.includes("qevm-")).toSorted(),
    files: links.filter((link) => link.includes("qevm-")),
    children,
  };
}

/** Waits until nothing more is held than before, two seconds at most. Returns what is still held. */
export async function stillHeld(before: ReturnType<typeof held>): Promise<string[]> {
  for (let k = 0; ; k++) {
    const now = held();
    const left = [...now.files, ...now.descriptors.slice(before.descriptors.length)];
    if (now.children !== before.children) left.push(`children ${now.children}`);
    if ((now.descriptors.length <= before.descriptors.length && left.length === 0) || k === 200) return left;
    await sleep(10);
  }
}

/** A folder for the test, removed afterwards. */
export async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-cut-"));
  try {
    await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
