import type { ByteSource } from "../../bytes/source.js";

/** One channel of a recording. Every `open` begins at its first byte. */
export interface RecordedChannel {
  /** The file's name. */
  readonly name: string;
  /** File size in bytes. */
  readonly length: number;
  open(): ByteSource;
  /** Of a channel that is still being received: whether bytes have come that were not read. */
  ready?(): boolean;
  /** Of a channel that is still being received: whether the source has closed it. */
  isClosed?(): boolean;
  /** Of a channel that is still being received: it is of nobody, and no longer read. */
  leave?: () => void;
}

/** All connections of one migration. */
export interface Recording {
  readonly main: RecordedChannel;
  /** Sorted by channel id. */
  readonly multifd: readonly RecordedChannel[];
  readonly preempt: readonly RecordedChannel[];
  readonly returnPath: readonly RecordedChannel[];
  /** Connections that continued the stream after a break, in order. */
  readonly resumed?: readonly RecordedChannel[];
}
