import type { BlockFileEntry } from "../guest/files/block-files.js";
import { extractPhysical, type PhysicalOptions } from "../guest/files/extract-physical.js";
import { extractBlocks } from "../guest/files/extract-blocks.js";
import { openFile, printResult, shownSegments } from "./document.js";
import { inputOptions, parse, streamOptions, UsageError, type Arguments } from "./arguments.js";
import { outOf } from "./out.js";
import {
  memorySize,
  print,
  printWarnings,
  safe,
  delivered,
  table,
  warn,
  tellIncomplete,
  withProgress,
} from "./output.js";

/** `qevm extract FILE --out PATH --format blocks|raw|elf|lime|kdump`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("extract", argv, [1, 1], "one FILE");
  const out = outOf(args, args.positionals);
  const format = args.text("format");
  if (args.flag("paging") && format !== "elf") throw new UsageError("--paging is for --format elf");
  if (isPhysical(format)) return await physical(args, out, format);
  if (format !== "blocks") throw new UsageError("--format takes blocks, raw, elf, lime or kdump");
  for (const name of "layout from length".split(" ")) {
    if (args.text(name) !== undefined) throw new UsageError(`--${name} is for raw, elf, lime and kdump`);
  }
  const source = withProgress(await openFile(args.positionals[0]!, inputOptions(args)), "extracting");
  const result = await extractBlocks(source, out, await streamOptions(args)).finally(() => source.done());
  await source.close?.();
  printWarnings(result.warnings);
  tellIncomplete(result);
  const status = delivered(result, args.flag("accept-damage"));
  for (const { block: name } of result.blocks.filter(({ inStream }) => !inStream)) {
    warn(`the stream carries no page of RAM block ${JSON.stringify(name)}; its file is empty`);
  }
  if (args.flag("json")) printResult(result);
  else print(["", ...table([["block", "length", "file"], ...rows(result.blocks)], [0, 2])].slice(1));
  return status;
}

function isPhysical(format: string | undefined): format is PhysicalOptions["format"] {
  return format === "raw" || format === "elf" || format === "lime" || format === "kdump";
}

async function physical(args: Arguments, out: string, format: PhysicalOptions["format"]): Promise<number> {
  const most = Number.MAX_SAFE_INTEGER;
  const how = {
    ...(await streamOptions(args)),
    format,
    paging: args.flag("paging"),
    layout: args.text("layout"),
    from: args.size(`from`, { min: 0, max: most }),
    length: args.size("length", { min: 1, max: most }),
  };
  const source = withProgress(await openFile(args.positionals[0]!, inputOptions(args)), "extracting");
  const result = await extractPhysical(source, out, how).finally(() => source.done());
  await source.close?.();
  printWarnings(result.warnings);
  tellIncomplete(result);
  const status = delivered(result, args.flag("accept-damage"));
  if (how.paging && result.mappedRangeCount === null) {
    warn("no CPU translates addresses: the core has physical addresses only");
  }
  if (args.flag("json")) {
    printResult({ ...result, segments: shownSegments(result.segments) });
    return status;
  }
  print([
    ...table(
      [
        ["address", "length", "block", "offset"],
        ...result.segments.map(({ start, length, block, offset }) => [
          address(start),
          memorySize(length),
          safe(block),
          address(offset),
        ]),
      ],
      [2],
    ),
    ...result.layout.map((line) => `layout: ${safe(line)}`),
    ...(result.mappedRangeCount === null ? [] : [`virtual addresses: ${result.mappedRangeCount} mapped ranges`]),
    ...(result.vmcoreinfo === null ? [] : [`VMCOREINFO note: ${result.vmcoreinfo}`]),
  ]);
  return status;
}

function rows(blocks: readonly BlockFileEntry[]): string[][] {
  return blocks.map(({ block: name, file, blockLength: length }) => [safe(name), memorySize(length), safe(file)]);
}

function address(value: number): string {
  return `0x${value.toString(16)}`;
}
