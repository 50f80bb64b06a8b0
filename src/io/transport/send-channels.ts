import type { ByteSource } from "../../bytes/source.js";
import { openDestination, type Destination, type TakeAnswers } from "./destination-uri.js";
import { followChannel, followStream, pageSizeOf, type Follower } from "./followed.js";
import type { TlsConnector } from "./tls/connector.js";
import { sendStream, type SendOptions } from "./send.js";

/** One channel to send; `open` begins at its first byte. */
interface SentChannel {
  open(): ByteSource;
}

/** How channels are sent. */
interface ChannelOptions extends Pick<SendOptions, "maxBandwidth"> {
  tls?: TlsConnector | undefined;
  answers?: TakeAnswers | undefined;
  /** Each has to end where it should: the first is a stream, the others are multifd channels. */
  checks?: boolean;
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
  { maxBandwidth, tls, answers, checks = false }: ChannelOptions = {},
): Promise<number> {
  const destinations: Destination[] = [];
  const share = maxBandwidth === undefined ? undefined : Math.ceil(maxBandwidth / channels.length);
  const pageSize = checks ? await shownBy(channels[0]!) : undefined;
  const followerOf = (k: number): Follower | undefined => {
    if (pageSize === undefined) return undefined;
    return k === 0 ? followStream() : followChannel(pageSize);
  };
  const send = async (k: number, to: Destination): Promise<number> => {
    const source = channels[k]!.open();
    try {
      return await sendStream(source, to, { maxBandwidth: share, follower: followerOf(k) });
    } finally {
      await source.close?.();
    }
  };
  try {
    const sent: Promise<number>[] = [];
    for (const k of channels.keys()) {
      const destination = await openDestination(uri, k === 0 ? answers : undefined, tls);
      destinations.push(destination);
      const sending = send(k, k === 0 ? destination : aside(destination));
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

/** Target page size in bytes of the stream in a main channel. */
async function shownBy(main: SentChannel): Promise<number> {
  const source = main.open();
  try {
    return await pageSizeOf(source);
  } finally {
    await source.close?.();
  }
}
