import type { ByteSource } from "../../bytes/source.js";
import { openDestination, type Destination } from "./destination-uri.js";
import { sendStream, type SendOptions } from "./send.js";

/** One channel as it is sent; `open` begins at its first byte. */
export interface SentChannel {
  open(): ByteSource;
}

/**
 * Sends channels side by side, each over a connection of its own, the first one first: until 7.2 a destination tells the main channel by
 * its being the first. SYNC packets and marks make the destination wait where it has to. How it ends is up to the main channel: one that has
 * loaded all may reset the others, whose last SYNC it does not read (7.2). Returns the bytes of all. Errors: as
 * `openDestination` and `sendStream`.
 */
export async function sendChannels(
  channels: readonly SentChannel[],
  uri: string,
  { maxBandwidth }: SendOptions = {},
): Promise<number> {
  const destinations: Destination[] = [];
  try {
    for (const _ of channels) destinations.push(await openDestination(uri));
    const share = maxBandwidth === undefined ? undefined : Math.ceil(maxBandwidth / channels.length);
    const sent = channels.map(async (channel, k) => {
      const source = channel.open();
      try {
        return await sendStream(source, k === 0 ? destinations[k]! : aside(destinations[k]!), { maxBandwidth: share });
      } finally {
        await source.close?.();
      }
    });
    return (await Promise.all(sent)).reduce((sum, bytes) => sum + bytes, 0);
  } catch (error) {
    for (const destination of destinations) destination.abort();
    throw error;
  }
}

/** A channel whose end says nothing. */
function aside(destination: Destination): Destination {
  return { ...destination, end: () => destination.end().catch(() => undefined) };
}
