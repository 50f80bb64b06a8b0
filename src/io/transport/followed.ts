import { QevmError } from "../../bytes/errors.js";
import { FedSource } from "../../bytes/fed-source.js";
import type { ByteSource } from "../../bytes/source.js";
import { ChannelReader } from "../../codec/multifd/index.js";
import { StreamReader } from "../../codec/stream/index.js";

/** Reads along while bytes are sent, to know whether they end where they should. */
export interface Follower {
  /** Resolves when the bytes were parsed, or are no longer needed. */
  feed(chunk: Uint8Array): Promise<void>;
  /** No more bytes follow. Errors: truncated, where something is cut there; those of damage that was seen before. */
  end(): Promise<void>;
}

/** Follows a stream. */
export function followStream(): Follower {
  return following(async (source) => {
    const reader = new StreamReader(source);
    for await (const item of reader) {
      if (item.kind === "opaque" || item.kind === "trailing") for await (const _ of item.chunks());
    }
    if (!reader.complete) {
      const place = { offset: reader.offset, expected: "EOF", found: "the end of the input" };
      throw new QevmError("truncated", "the stream ends before its EOF", place);
    }
  });
}

/** Follows a multifd channel. @param pageSize target page size in bytes */
export function followChannel(pageSize: number): Follower {
  return following(async (source) => {
    for await (const _ of new ChannelReader(source, { pageSize }));
  });
}

/** Target page size in bytes of the stream that begins in a source. */
export async function pageSizeOf(source: ByteSource): Promise<number> {
  const reader = new StreamReader(source, { lenient: true });
  for await (const { kind } of reader) if (kind !== "header" && kind !== "configuration") break;
  return reader.ram.pageSize;
}

function following(read: (source: ByteSource) => Promise<void>): Follower {
  const source = new FedSource();
  const done = read(source)
    .catch((error: unknown) => {
      // A QEMU may know more, and has no such limits.
      if (!(error instanceof QevmError) || !["unsupported", "limit"].includes(error.code)) throw error;
    })
    .finally(() => source.finish());
  // `end` reports it.
  done.catch(() => undefined);
  return {
    feed: async (chunk) => await source.feed(chunk),
    end: async () => {
      source.finish();
      await done;
    },
  };
}
