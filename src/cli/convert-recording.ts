import { openInput } from "../io/container/input.js";
import { convertToRecording, type RecordingFolderReport } from "../rewrite/convert/recording-folder.js";
import { releaseNumber } from "../guest/machines/index.js";
import type { WrittenMethod } from "../codec/multifd/index.js";
import { inputOptions, streamOptions, UsageError, type Arguments } from "./arguments.js";
import {
  count,
  delivered,
  fileSize,
  print,
  printJson,
  printWarnings,
  safe,
  table,
  tellIncomplete,
  withProgress,
} from "./output.js";

/** `qevm convert FILE --to recording --out DIR`. */
export async function toRecording(args: Arguments, out: string): Promise<number> {
  for (const name of ["ram", "threads"]) {
    if (args.text(name) !== undefined) throw new UsageError(`--${name} does not go with --to recording`);
  }
  if (args.flag("exact"))
    throw new UsageError("--exact does not go with --to recording: zlib payloads have QEMU's bytes anyway");
  const method = methodOf(args.text("multifd"));
  const level = args.number("level", { min: 0, max: 9 });
  if (level !== undefined && method !== "zlib") throw new UsageError("--level goes with --multifd zlib");
  const release = releaseOf(args.text("qemu"));
  const input = await openInput(args.positionals[0]!, inputOptions(args));
  const postcopy = input.containers.some((one) => one.kind === "recording" && one.postcopy);
  const source = withProgress(input, "converting");
  const report = await convertToRecording(source, out, {
    ...(await streamOptions(args)),
    method,
    level,
    release,
    channels: args.number("channels", { min: 1, max: 255 }) ?? 2,
    flatten: args.flag("flatten") || postcopy,
    machine: args.text("machine"),
    dropVmdescription: args.flag("drop-vmdescription"),
  }).finally(() => source.done());
  await source.close?.();
  printWarnings(report.warnings);
  tellIncomplete(report);
  if (args.flag("json")) printJson(report);
  else print(lines(out, report));
  return delivered(report);
}

function methodOf(text = "none"): WrittenMethod {
  if (text === "none" || text === "zlib" || text === "zstd") return text;
  throw new UsageError(`--multifd takes none, zlib or zstd, not ${JSON.stringify(text)}`);
}

/** Parses `10.0` to 1000. */
function releaseOf(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const release = releaseNumber(text);
  if (release === undefined || release < 400) {
    throw new UsageError(`--qemu takes a version from 4.0 on, like 7.2, not ${JSON.stringify(text)}`);
  }
  return release;
}

function lines(out: string, { machine, pages, packets, epochs, files }: RecordingFolderReport): string[] {
  return [
    `${safe(out)}: ${machine === null ? "no configuration section" : `machine ${safe(machine)}`}`,
    `${count(pages.normal)} pages and ${count(pages.zero)} zero ones; ${count(packets)} packets in ${count(epochs)} epochs`,
    ...table(files.map(({ file, bytes }) => [file, fileSize(bytes)])),
  ];
}
