import { openInput } from "../container/index.js";
import { openDestination } from "../transport/destination-uri.js";
import { sendStream } from "../transport/send.js";
import { inputOptions, parse, sizeOf, STREAM_OPTIONS, UsageError } from "./arguments.js";
import { fileSize, print, printJson, withProgress } from "./output.js";

/** `qevm send FILE URI`. */
export async function run(argv: string[]): Promise<number> {
  const options = { ...STREAM_OPTIONS, "max-bandwidth": { type: "string" } } as const;
  const args = parse(argv, options, [2, 2], "FILE and URI");
  const [file = "", uri = ""] = args.positionals;
  const maxBandwidth = bandwidth(args.text("max-bandwidth"));
  const source = withProgress(await openInput(file, inputOptions(args)), "sending");
  const start = performance.now();
  const bytes = await sendStream(source, await openDestination(uri), { maxBandwidth }).finally(() => source.done());
  await source.close?.();
  const seconds = (performance.now() - start) / 1000;
  if (args.flag("json")) printJson({ uri, bytes, seconds });
  else print([`${fileSize(bytes)} sent to ${uri} in ${seconds.toFixed(1)} s`]);
  return 0;
}

/** `32M`: bytes a second. */
function bandwidth(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const bytes = sizeOf(text) ?? 0;
  if (bytes === 0) throw new UsageError(`--max-bandwidth takes bytes a second (32M), not ${JSON.stringify(text)}`);
  return bytes;
}
