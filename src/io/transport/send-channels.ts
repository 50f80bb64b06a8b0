import type { ByteSource } from "../../bytes/source.js";
import { openDestination, type Destination } from "./destination-uri.js";
import type { TlsConnector } from "./tls/connector.js";
import { sendStream, type SendOptions } from "./send.js";

/** One channel to send; `open` begins at its first byte. */
export interface SentChannel {
  open(): ByteSource;
}

/**
 * Sends channels in parallel, each over its own connection. The first one is connected first, because until 7.2 a
 * destination takes the first connection as the main channel. SYNC packets and marks make the destination wait where it
 * has to. The result depends on the main channel: a destination that has loaded everything may reset the other
 * connections, whose last SYNC it does not read (7.2). Returns the total bytes. Errors: as `openDestination` and
 * `sendStream`.
 */
export async function sendChannels(
  channels: readonly SentChannel[],
  uri: string,
  { maxBandwidth, tls }: SendOptions & { tls?: TlsConnector | undefined } = {},
): Promise<number> {
  const destinations: Destination[] = [];
  try {
    for (const _ of channels) destinations.push(await openDestination(uri, undefined, tls));
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

/** A channel whose end is ignored. */
function aside(destination: Destination): Destination {
  return { ...destination, end: () => destination.end(true).catch(() => undefined) };
}
