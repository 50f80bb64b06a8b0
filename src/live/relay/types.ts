import type { QevmError } from "../../bytes/errors.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import type { TlsConnector } from "../../io/transport/tls/connector.js";
import type { TlsFacts, TlsListener } from "../../io/transport/tls/listener.js";
import type { StreamInput } from "../../io/container/input.js";
import type { PassingOptions } from "../../rewrite/adapt/live.js";
import type { AdaptReport } from "../../rewrite/adapt/types.js";
import type { ConvertOptions, ConvertReport } from "../../rewrite/convert/types.js";
import type { ToRecordingOptions, ToRecordingReport } from "../../rewrite/convert/to-recording.js";
import type { ChannelFact, Refused } from "../receive/index.js";
import type { RecordOptions } from "./record.js";

/** How a migration is relayed. */
export interface RelayOptions extends RecordOptions {
  /**
   * Conversion of the main channel, which takes the pages of multifd channels in where `ram` says how; undefined: every
   * byte unchanged.
   */
  convert?: (ConvertOptions & StreamOptions) | undefined;
  /** Write the pages, of whatever channel, into so many multifd channels of the destination. */
  multifd?: (ToRecordingOptions & { channels: number }) | undefined;
  /** Write the guest in the form that another QEMU or machine type takes. Sources that may switch to postcopy: refused. */
  adapt?: RelayAdapt | undefined;
  /** Credentials for the source's side: every connection of it must be through TLS. */
  listenTls?: TlsListener | undefined;
  /** Credentials for the destination's side. */
  connectTls?: TlsConnector | undefined;
  /** Addresses and networks from which a source may connect, as for `receiveInto`. */
  allow?: readonly string[] | undefined;
  /** Called when a source can connect, with the URI to connect to. */
  onListening?: (uri: string) => void;
  /**
   * Called at each try to connect, where a migration goes on after a break in postcopy and the destination does not
   * listen yet. The source is kept waiting.
   */
  onWaiting?: (error: QevmError) => void;
  /** Called for every connection that does not belong to this migration, after it was closed. */
  onRefused?: (refused: Refused) => void;
}

/** What a guest is adapted to on its way. */
export interface RelayAdapt extends PassingOptions {
  /** The stream that the destination's QEMU saved before its first instruction: `askPattern` has one made. */
  readonly pattern: StreamInput;
  /** How the source's stream is read. */
  readonly stream?: StreamOptions | undefined;
}

/** The result of relaying. */
export interface Relayed {
  /** The listening URI, and the destination's URI. */
  listenUri: string;
  connectUri: string;
  /**
   * In the order of the connections, with the bytes that the source sent; the destination's replies are a channel, too.
   */
  channels: ChannelFact[];
  /** The result of the conversion; null: none. */
  converted: ConvertReport | null;
  /** What was written into the destination's multifd channels; null: none was. */
  split: ToRecordingReport | null;
  /** What was changed for the destination; null: the guest was not adapted. */
  adapted: AdaptReport | null;
  /** The destination confirmed that it has loaded everything; null: there was no return path. */
  loaded: true | null;
  /** Connections that did not belong to this migration (at most 100), and the number of further ones. */
  refused: readonly Refused[];
  refusedMore: number;
  /** How the source's main channel was encrypted, and its name; null: it was not. */
  tls: TlsFacts | null;
}
