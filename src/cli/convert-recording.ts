import { convertToRecording, type RecordingFolderReport } from "../rewrite/convert/recording-folder.js";
import { openFile, printResult } from "./document.js";
import { inputOptions, streamOptions, UsageError, type Arguments } from "./arguments.js";
import { multifdOptions } from "./multifd-options.js";
import {
  count,
  delivered,
  fileSize,
  print,
  printWarnings,
  safe,
  table,
  tellIncomplete,
  withProgress,
} from "./output.js";

/** `qevm convert FILE --to recording --out DIR`. */
export async function toRecording(args: Arguments, out: string): Promise<number> {
  if (args.text("ram") !== undefined) throw new UsageError("--ram does not go with --to recording");
  const multifd = multifdOptions(args);
  const exact = args.flag("exact");
  if (exact && multifd.method !== "zlib") throw new UsageError("--exact goes with --multifd zlib");
  const input = await openFile(args.positionals[0]!, inputOptions(args));
  const postcopy = input.containers.some((one) => one.kind === "recording" && one.postcopy);
  const source = withProgress(input, "converting");
  const report = await convertToRecording(source, out, {
    ...(await streamOptions(args)),
    ...multifd,
    exact,
    threads: args.number("threads", { min: 1, max: 64 }),
    flatten: args.flag("flatten") || postcopy,
    machine: args.text("machine"),
    dropVmdescription: args.flag("drop-vmdescription"),
  }).finally(() => source.done());
  await source.close?.();
  printWarnings(report.warnings);
  tellIncomplete(report);
  if (args.flag("json")) printResult(report);
  else print(lines(out, report));
  return delivered(report, args.flag("accept-damage"));
}

function lines(out: string, { machine, pages, packets, epochs, files }: RecordingFolderReport): string[] {
  return [
    `${safe(out)}: ${machine === null ? "no configuration section" : `machine ${safe(machine)}`}`,
    `${count(pages.normal)} pages and ${count(pages.zero)} zero ones; ${count(packets)} packets in ${count(epochs)} epochs`,
    ...table(files.map(({ file, channelLength: bytes }) => [file, fileSize(bytes)])),
  ];
}
