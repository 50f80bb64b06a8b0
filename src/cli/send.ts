import { isFolder } from "../io/container/is-folder.js";
import { openRecording, openTimeline } from "../io/container/recording.js";
import { isPostcopy, mergedSource, pacedRecording, TIMELINE, type Recording } from "../io/recording/index.js";
import { RestSource } from "../io/container/sources.js";
import { QemuFileReader } from "../bytes/reader.js";
import type { ByteSource } from "../bytes/source.js";
import { decodeHeader } from "../codec/stream/index.js";
import { openDestination } from "../io/transport/destination-uri.js";
import { followStream } from "../io/transport/followed.js";
import { ReturnTail } from "../io/transport/return-tail.js";
import { sendChannels } from "../io/transport/send-channels.js";
import { sendStream } from "../io/transport/send.js";
import { openFile, printResult } from "./document.js";
import { inputOptions, parse, sizeOf, UsageError, type Arguments } from "./arguments.js";
import type { TlsConnector } from "../io/transport/tls/connector.js";
import { connectorTls } from "./tls.js";
import { fileSize, print, withProgress } from "./output.js";

/** `qevm send FILE URI`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("send", argv, [2, 2], "FILE and URI");
  const [file = "", uri = ""] = args.positionals;
  const maxBandwidth = bandwidth(args.text("max-bandwidth"));
  const pace = isPaced(args);
  const tls = await connectorTls(args, "tls");
  const start = performance.now();
  for (const name of args.flag("channels") ? ["snapshot", "stream-offset", "page-size"] : []) {
    if (args.text(name) !== undefined) throw new UsageError(`--${name} does not go with --channels`);
  }
  const lenient = args.flag("lenient");
  if (args.flag("channels"))
    return report(args, uri, await replay(file, uri, { maxBandwidth, tls }, { lenient, pace }), start);
  const input = pace ? mergedPaced(file, lenient) : await openFile(file, inputOptions(args));
  const source = withProgress(lenient ? input : await aStream(input), "sending");
  const heard = new ReturnTail();
  const follower = lenient ? undefined : followStream();
  const to = await openDestination(uri, heard.answers, tls);
  const bytes = await sendStream(source, to, { maxBandwidth, follower }).finally(() => source.done());
  await source.close?.();
  await heard.check();
  return report(args, uri, bytes, start);
}

/** Reopens the source if a stream begins in it. Errors: truncated, bad-magic, unsupported-version. */
async function aStream(source: ByteSource): Promise<ByteSource> {
  const reader = new QemuFileReader(source);
  await reader.fill(8);
  await decodeHeader(QemuFileReader.over(reader.buffer.slice(reader.position, reader.end), reader.offset));
  if (source.seek === undefined) return new RestSource(reader);
  source.seek(0);
  return source;
}

/** Sends every channel of a recording over its own connection. */
async function replay(
  folder: string,
  uri: string,
  how: { maxBandwidth: number | undefined; tls: TlsConnector | undefined },
  { lenient, pace }: { lenient: boolean; pace: boolean },
): Promise<number> {
  if (!isFolder(folder)) throw new UsageError("--channels is for recordings: folders with every channel");
  if (!/^(?:tcp|unix):/u.test(uri)) throw new UsageError("--channels takes tcp: or unix:");
  const recording = openRecording(folder, { lenient });
  if (recording.preempt.length > 0 || (await isPostcopy(recording))) {
    throw new UsageError(
      "--channels: a postcopy migration cannot continue without its source; send it without --channels",
    );
  }
  const { main, multifd } = pace ? paced(folder, recording) : recording;
  const heard = new ReturnTail();
  const bytes = await sendChannels([main, ...multifd], uri, { ...how, answers: heard.answers, checks: !lenient });
  await heard.check();
  return bytes;
}

/** Whether `--pace recorded` is given. Errors: usage. */
function isPaced(args: Arguments): boolean {
  const pace = args.text("pace");
  if (pace === undefined) return false;
  if (pace !== "recorded") throw new UsageError(`--pace takes recorded, not ${JSON.stringify(pace)}`);
  for (const name of ["max-bandwidth", "snapshot", "stream-offset", "page-size"]) {
    if (args.text(name) !== undefined) throw new UsageError(`--${name} does not go with --pace`);
  }
  return true;
}

/** The recording with the times of its timeline. Errors: usage. */
function paced(folder: string, recording: Recording): Recording {
  const timeline = openTimeline(folder);
  if (timeline === undefined) throw new UsageError(`--pace: ${folder} has no ${TIMELINE} with its times`);
  return pacedRecording(recording, timeline);
}

/** All channels as one stream, at the pace at which they arrived. */
function mergedPaced(folder: string, lenient: boolean): ByteSource {
  if (!isFolder(folder)) throw new UsageError("--pace is for recordings: folders with every channel");
  return mergedSource(paced(folder, openRecording(folder, { lenient })), { lenient, prompt: true });
}

function report(args: Arguments, uri: string, bytes: number, start: number): number {
  const seconds = (performance.now() - start) / 1000;
  if (args.flag("json")) printResult({ uri, sentBytes: bytes, seconds });
  else print([`${fileSize(bytes)} sent to ${uri} in ${seconds.toFixed(1)} s`]);
  return 0;
}

/** Parses `32M` to bytes per second. */
function bandwidth(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = sizeOf(text) ?? 0;
  if (bytes === 0) throw new UsageError(`--max-bandwidth takes bytes a second (32M), not ${JSON.stringify(text)}`);
  return bytes;
}
