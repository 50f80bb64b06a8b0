/** What looks like the start of a migration, and is none. */
import { encodeInitPacket, MULTIFD_MAGIC, MULTIFD_VERSION } from "../../src/codec/multifd/index.js";
import { dial } from "./receiving.js";

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

/** Multifd hellos, and main channels that end before their RAM, of a stream with RAM. */
export function lookAlikes(stream: Buffer): Uint8Array[] {
  const ram = stream.indexOf(Buffer.from("\x03ram\0\0\0\0\0\0\0\x04", "latin1")) - 5;
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
