/** What looks like the start of a migration, and is none. */
import { ChannelEncoder, encodeInitPacket, MULTIFD_MAGIC, MULTIFD_VERSION } from "../../src/codec/multifd/index.js";
import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { dial } from "./receiving.js";

/**
 * Runs `work` among 1,000 idle connections and 100 with wrong first bytes before it, and while it runs slow ones that
 * begin like a main channel and fall silent before their RAM, forged channels with the ids of the guest's own (and with
 * another one, once it `isLate`), and 100 idle ones.
 */
export async function amongStrangers(
  uri: string,
  stream: Buffer,
  work: () => Promise<void>,
  isLate: () => Promise<boolean>,
): Promise<void> {
  const sockets: Socket[] = [];
  const call = async (bytes?: Uint8Array): Promise<Socket> => {
    const socket = await dial(uri);
    sockets.push(socket);
    if (bytes !== undefined) socket.write(bytes);
    return socket;
  };
  const setup = stream.subarray(0, ramAt(stream));
  for (let k = 0; k < 1100; k++) await call(k % 11 === 0 ? Buffer.from("GET / HTTP/1.1\r\n\r\n") : undefined);
  let late = false;
  const over = new AbortController();
  const disturb = async (): Promise<void> => {
    const slow = [await call(), await call(), await call()];
    for (let k = 0; !over.signal.aborted; k++) {
      for (const socket of slow) if (socket.writable && k < setup.length) socket.write(setup.subarray(k, k + 1));
      if (k < 100) await call();
      if (k % 10 === 0) {
        // A new id is a forgery where it comes late: at first only those of the guest's own.
        late ||= await isLate();
        const channel = (k / 10) % (late ? 3 : 2);
        await call(await channelOf(channel, new Uint8Array(16), 1));
      }
      await sleep(5);
    }
  };
  const disturbing = disturb();
  // It is said where it is waited for.
  disturbing.catch(() => undefined);
  try {
    await work();
  } finally {
    over.abort();
    await disturbing.finally(() => sockets.forEach((socket) => socket.destroy()));
  }
}

/** A forged channel: its first packet and some SYNC packets. */
export async function channelOf(channel: number, uuid: Uint8Array, syncs: number): Promise<Buffer> {
  const encoder = await ChannelEncoder.create({ channel, uuid });
  return Buffer.concat([encoder.init(), ...Array.from({ length: syncs }, (_, k) => encoder.sync(k))]);
}

/** The hello of a multifd channel. */
export function hello(channel: number, uuid = 0): Uint8Array {
  return encodeInitPacket({
    magic: MULTIFD_MAGIC,
    version: MULTIFD_VERSION,
    uuid: new Uint8Array(16).fill(uuid),
    channel,
    unused: new Uint8Array(39),
  });
}

/** Where the setup of RAM begins: up to there a stranger's stream is no migration, and with all of it, it is one. */
function ramAt(stream: Buffer): number {
  return stream.indexOf(Buffer.from("\x03ram\0\0\0\0\0\0\0\x04", "latin1")) - 5;
}

/** Multifd hellos, and main channels that end before their RAM, of a stream with RAM. */
function lookAlikes(stream: Buffer): Uint8Array[] {
  const ram = ramAt(stream);
  return [hello(99, 0xaa), hello(0, 0xaa), stream.subarray(0, ram), stream.subarray(0, ram + 12)];
}

/** Connects with each of them, which closes after it or stays open. Returns how many. */
export async function sendLookAlikes(uri: string, stream: Buffer, leaves: boolean): Promise<number> {
  const all = lookAlikes(stream);
  for (const bytes of all) {
    const socket = await dial(uri);
    if (leaves) socket.end(bytes);
    else socket.write(bytes);
  }
  return all.length;
}
