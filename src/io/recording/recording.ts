import type { ByteSource } from "../../bytes/source.js";

/** One channel of a recording; every `open` begins at its first byte. */
export interface RecordedChannel {
  /** How people call it: the file's name. */
  readonly name: string;
  /** Bytes of the file. */
  readonly length: number;
  open(): ByteSource;
}

/** Everything that went over the connections of one migration. */
export interface Recording {
  readonly main: RecordedChannel;
  /** By channel id. */
  readonly multifd: readonly RecordedChannel[];
  readonly preempt: readonly RecordedChannel[];
  readonly returnPath: readonly RecordedChannel[];
  /** Connections that went on with the stream where the one before broke, in order. */
  readonly resumed?: readonly RecordedChannel[];
}
