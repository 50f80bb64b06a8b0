import { extractPhysical } from "../guest/files/extract-physical.js";
import { extractBlocks } from "../guest/files/extract-blocks.js";
import { openInput } from "../io/container/input.js";
import { DECODE_OPTIONS, inputOptions, parse, streamOptions, UsageError, type Arguments } from "./arguments.js";
import { outOf } from "./out.js";
import {
  memorySize,
  print,
  printJson,
  printWarnings,
  safe,
  delivered,
  table,
  tell,
  tellIncomplete,
  withProgress,
} from "./output.js";

/** `qevm extract FILE --out PATH --format blocks|raw|elf|lime`. */
export async function run(argv: string[]): Promise<number> {
  const options = {
    ...DECODE_OPTIONS,
    out: { type: "string" },
    format: { type: "string" },
    layout: { type: "string" },
    from: { type: "string" },
    length: { type: "string" },
  } as const;
  const args = parse(argv, options, [1, 1], "one FILE");
  const out = outOf(args, args.positionals);
  const format = args.text("format");
  if (format === "raw" || format === "elf" || format === "lime") return await physical(args, out, format);
  if (format !== "blocks") throw new UsageError("--format takes blocks, raw, elf or lime");
  for (const name of "layout from length".split(" ")) {
    if (args.text(name) !== undefined) throw new UsageError(`--${name} is for raw, elf and lime`);
  }
  const source = withProgress(await openInput(args.positionals[0]!, inputOptions(args)), "extracting");
  const result = await extractBlocks(source, out, await streamOptions(args)).finally(() => source.done());
  await source.close?.();
  printWarnings(result.warnings);
  tellIncomplete(result);
  const status = delivered(result);
  for (const { name } of result.blocks.filter(({ inStream }) => !inStream)) {
    tell(`warning: the stream carries no page of RAM block ${JSON.stringify(name)}; its file is empty`);
  }
  if (args.flag("json")) printJson(result);
  else print(["", ...table([["block", "length", "file"], ...rows(result.blocks)], [0, 2])].slice(1));
  return status;
}

async function physical(args: Arguments, out: string, format: "raw" | "elf" | "lime"): Promise<number> {
  const most = Number.MAX_SAFE_INTEGER;
  const how = {
    ...(await streamOptions(args)),
    format,
    layout: args.text("layout"),
    from: args.size(`from`, { min: 0, max: most }),
    length: args.size("length", { min: 1, max: most }),
  };
  const source = withProgress(await openInput(args.positionals[0]!, inputOptions(args)), "extracting");
  const result = await extractPhysical(source, out, how).finally(() => source.done());
  await source.close?.();
  printWarnings(result.warnings);
  tellIncomplete(result);
  const status = delivered(result);
  if (args.flag("json")) {
    printJson(result);
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
    ...(result.vmcoreinfo === null ? [] : [`VMCOREINFO note: ${result.vmcoreinfo}`]),
  ]);
  return status;
}

function rows(blocks: readonly { name: string; file: string; length: number }[]): string[][] {
  return blocks.map(({ name, file, length }) => [safe(name), memorySize(length), safe(file)]);
}

function address(value: number): string {
  return `0x${value.toString(16)}`;
}
