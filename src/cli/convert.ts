import { convertToFile } from "../convert/convert-file.js";
import type { ConvertOptions, ConvertReport, PageTally, RamTarget } from "../convert/types.js";
import { openInput } from "../container/index.js";
import { DECODE_OPTIONS, inputOptions, parse, streamOptions, UsageError, type Arguments } from "./arguments.js";
import { toRecording } from "./convert-recording.js";
import { count, fileSize, print, printJson, safe, table, withProgress } from "./output.js";

/** `qevm convert FILE --out FILE`. */
export async function run(argv: string[]): Promise<number> {
  const options = {
    ...DECODE_OPTIONS,
    out: { type: "string" },
    ram: { type: "string" },
    to: { type: "string" },
    level: { type: "string" },
    threads: { type: "string" },
    exact: { type: "boolean" },
    flatten: { type: "boolean" },
    machine: { type: "string" },
    "drop-vmdescription": { type: "boolean" },
    multifd: { type: "string" },
    channels: { type: "string" },
    qemu: { type: "string" },
  } as const;
  const args = parse(argv, options, [1, 1], "one FILE");
  const out = args.text("out");
  if (out === undefined) throw new UsageError("--out is missing");
  if (args.text("to") === "recording") return await toRecording(args, out);
  for (const name of ["multifd", "channels", "qemu"]) {
    if (args.text(name) !== undefined) throw new UsageError(`--${name} goes with --to recording`);
  }
  const json = args.flag("json");
  if (json && out === "-") throw new UsageError("--json and --out - both write to standard output");
  const wanted = convertOptions(args);
  const input = await openInput(args.positionals[0]!, inputOptions(args));
  // A recorded postcopy migration loads from a file in one round only.
  if (input.containers.some((one) => one.kind === "recording" && one.postcopy) && wanted.to !== "mapped-ram") {
    wanted.flatten = true;
  }
  const source = withProgress(input, "converting");
  const report = await convertToFile(source, out, { ...(await streamOptions(args)), ...wanted }).finally(() =>
    source.done(),
  );
  await source.close?.();
  if (!report.complete) process.stderr.write("warning: the stream ends before its EOF\n");
  if (json) printJson(report);
  else if (out !== "-") print(lines(out, report));
  return 0;
}

function convertOptions(args: Arguments): ConvertOptions {
  const ram = args.text("ram");
  if (ram !== undefined && ram !== "normal" && ram !== "zlib") {
    throw new UsageError(`--ram takes normal or zlib, not ${JSON.stringify(ram)}`);
  }
  const to = args.text("to");
  if (to !== undefined && to !== "stream" && to !== "mapped-ram") {
    throw new UsageError(`--to takes stream, mapped-ram or recording, not ${JSON.stringify(to)}`);
  }
  if (to === "mapped-ram" && ram !== undefined) throw new UsageError("--ram does not go with --to mapped-ram");
  const level = args.number("level", { min: 0, max: 9 });
  const exact = args.flag("exact");
  if (ram !== "zlib" && (level !== undefined || exact)) {
    throw new UsageError(`--${exact ? "exact" : "level"} goes with --ram zlib`);
  }
  return {
    ram: (ram ?? "keep") satisfies RamTarget,
    level,
    threads: args.number("threads", { min: 1, max: 64 }),
    exact,
    flatten: args.flag("flatten"),
    machine: args.text("machine"),
    to,
    dropVmdescription: args.flag("drop-vmdescription"),
  };
}

function lines(out: string, { machine, bytes, pages }: ConvertReport): string[] {
  return [
    `${safe(out)}: ${machine === null ? "no configuration section" : `machine ${safe(machine)}`}`,
    ...table([
      ["pages", "normal", "zero", "compressed", "xbzrle", "stream"],
      row("read", pages.in, bytes.in),
      row("written", pages.out, bytes.out),
    ]),
  ];
}

function row(name: string, tally: PageTally, size: number): string[] {
  return [name, count(tally.normal), count(tally.zero), count(tally.compressed), count(tally.xbzrle), fileSize(size)];
}
