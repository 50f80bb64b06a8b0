import { QevmError } from "../../bytes/errors.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import { Handover, mergeRecording } from "../../io/recording/index.js";
import { systemFolder } from "../../io/transport/temporary.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import type { PassingAdapt } from "../../rewrite/adapt/live.js";
import type { AdaptReport } from "../../rewrite/adapt/types.js";
import { convertStream } from "../../rewrite/convert/convert.js";
import { splitStream, type ToRecordingOptions, type ToRecordingReport } from "../../rewrite/convert/to-recording.js";
import type { ConvertReport } from "../../rewrite/convert/types.js";
import { LiveSource, StreamEnd, type KeptTail } from "../receive/index.js";
import type { Ahead } from "./pump.js";
import type { RelayOptions } from "./types.js";

/** How the destination's multifd channels are written; undefined: it has none. */
type Multifd = ToRecordingOptions | undefined;

/** What is converted, and where to. */
export interface Conversion {
  /** The source's main channel, which is added to `tail` before. */
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly tail: KeptTail;
  /** The source's multifd channels; none: it has pages in its main channel. */
  readonly ahead: Ahead;
  /** The destination's main channel. */
  readonly to: ByteSink;
  /** Pages and values of the source's stream; undefined: as they are. */
  readonly convert: RelayOptions["convert"];
  /** What the guest is adapted to; undefined: nothing. */
  readonly adapt: PassingAdapt | undefined;
  /** How the source's stream is read where it is adapted. */
  readonly stream: StreamOptions | undefined;
  /** Called when the main channel has begun: waits for the source's channels and opens the destination's. */
  readonly prepare: () => Promise<{ channels: readonly ByteSink[]; multifd: Multifd }>;
}

/** What was written. */
export interface Converted {
  converted: ConvertReport | null;
  adapted: AdaptReport | null;
  /** Of the destination's multifd channels. */
  split: ToRecordingReport | null;
}

/**
 * Converts one migration while it runs: the source's channels become one stream, its pages are changed, and the stream
 * is adapted and taken apart into the destination's channels. Everything that is written is sent before more is waited for. The end
 * is detected in the bytes, since the source waits for the destination's confirmation before it closes. Errors: as
 * `mergeRecording`, `convertStream`, `PassingAdapt.write`, `splitStream`; bad-length where the source goes on after its end.
 */
export async function convertMain(conversion: Conversion): Promise<Converted> {
  const { chunks, tail, prepare } = conversion;
  const end = new StreamEnd(tail);
  const main = new LiveSource(end);
  const fed = (async () => {
    for await (const chunk of chunks) {
      end.note(chunk.length);
      await main.feed(chunk);
    }
  })().finally(() => main.finish());
  fed.catch(() => {});
  let done: Converted;
  try {
    const { channels, multifd } = await prepare();
    done = await write(conversion, { main, end, channels, multifd });
  } finally {
    main.finish();
  }
  const { length } = tail;
  await fed;
  if (tail.length > length) {
    throw new QevmError("bad-length", "the source sent data after the end of its stream", {
      offset: length,
      found: `${tail.length - length} bytes`,
    });
  }
  return done;
}

/**
 * A channel that is connected when its first packet is there: a destination reads that packet before it accepts the
 * next connection, and with TLS before it answers the next handshake (7.2 multifd_recv_initial_packet).
 */
export function openedLater(open: () => Promise<ByteSink>): ByteSink {
  let sink: ByteSink | undefined;
  return {
    write: async (chunk) => {
      sink ??= await open();
      await sink.write(chunk);
    },
  };
}

/** The two ends of a conversion. */
interface Ends {
  readonly main: ByteSource;
  readonly end: StreamEnd;
  readonly channels: readonly ByteSink[];
  readonly multifd: Multifd;
}

/** Each step reads what the one before it writes. */
async function write(conversion: Conversion, { main, end, channels, multifd }: Ends): Promise<Converted> {
  const { ahead, to, adapt, convert, stream } = conversion;
  const done: Converted = { converted: null, adapted: null, split: null };
  const steps: ((source: ByteSource, sink: ByteSink, live: { inRam: boolean }) => Promise<void>)[] = [];
  if (ahead.pumps.length > 0) steps.push(async (source, sink) => await merge(source, end, ahead, sink));
  const plain = multifd === undefined ? {} : ({ ram: "normal", level: undefined } as const);
  if (convert !== undefined) {
    steps.push(async (source, sink, live) => {
      done.converted = await convertStream(source, sink, { ...convert, ...plain, live }, systemFolder());
    });
  }
  if (adapt !== undefined) {
    steps.push(async (source, sink, live) => {
      const keepsCompressed = convert?.ram === "zlib";
      done.adapted = await adapt.write(source, sink, { stream, live, keepsCompressed });
    });
  }
  if (multifd !== undefined) {
    steps.push(async (source, sink) => {
      done.split = await splitStream(source, sink, channels, { ...multifd, prompt: true });
    });
  }
  const last = steps.pop()!;
  const between: Handover[] = [];
  let source: ByteSource = main;
  for (const [i, step] of steps.entries()) {
    const from = source;
    // Only what reads the main channel itself knows where the end of the stream may be.
    const handed = new Handover(async (sink) => await step(from, sink, i === 0 ? end : { inRam: false }), []);
    between.push(handed);
    source = handed;
  }
  try {
    await last(source, to, steps.length === 0 ? end : { inRam: false });
    return done;
  } finally {
    for (const handed of between) handed.close();
  }
}

async function merge(main: ByteSource, end: StreamEnd, ahead: Ahead, sink: ByteSink): Promise<void> {
  const waiting: ByteSource = {
    read: async (into) => {
      ahead.wanted = true;
      for (const pump of ahead.pumps) pump.goOn();
      try {
        return await main.read(into);
      } finally {
        ahead.wanted = false;
      }
    },
  };
  const multifd = ahead.pumps.map((pump, k) => ({
    name: `multifd-${k}.bin`,
    length: 0,
    open: () => pump,
    ready: () => pump.ready,
    isClosed: () => pump.isClosed,
    leave: () => pump.leave(),
  }));
  const channel = { name: "main.bin", length: 0, open: () => waiting };
  const recording = { main: channel, multifd, preempt: [], returnPath: [] };
  await mergeRecording(recording, sink, { prompt: true, answered: true, live: end });
}
