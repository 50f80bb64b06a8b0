import type { ByteSource } from "../../bytes/source.js";
import { openDestination, type Destination, type TakeAnswers } from "./destination-uri.js";
import type { TlsConnector } from "./tls/connector.js";
import { sendStream, type SendOptions } from "./send.js";

/** One channel to send; `open` begins at its first byte. */
interface SentChannel {
  open(): ByteSource;
}

/**
 * Sends channels in parallel, each over its own connection. The first one is connected first, because until 7.2 a
 * destination takes the first connection as the main channel. Each begins at once, because a destination reads a
 * channel's first packet before it answers the next TLS handshake (7.2 multifd_recv_initial_packet). SYNC packets and
 * marks make the destination wait where it has to. The result depends on the main channel: a destination that has
 * loaded everything may reset the other connections, whose last SYNC it does not read (7.2). Returns the total bytes.
 * Errors: as `openDestination` and `sendStream`.
 */
export async function sendChannels(
  channels: readonly SentChannel[],
  uri: string,
  { maxBandwidth, tls, answers }: SendOptions & { tls?: TlsConnector | undefined; answers?: TakeAnswers } = {},
): Promise<number> {
  const destinations: Destination[] = [];
  const share = maxBandwidth === undefined ? undefined : Math.ceil(maxBandwidth / channels.length);
  const send = async (channel: SentChannel, to: Destination): Promise<number> => {
    const source = channel.open();
    try {
      return await sendStream(source, to, { maxBandwidth: share });
    } finally {
      await source.close?.();
    }
  };
  try {
    const sent: Promise<number>[] = [];
    for (const [k, channel] of channels.entries()) {
      const destination = await openDestination(uri, k === 0 ? answers : undefined, tls);
      destinations.push(destination);
      const sending = send(channel, k === 0 ? destination : aside(destination));
      sending.catch(() => undefined);
      sent.push(sending);
    }
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
