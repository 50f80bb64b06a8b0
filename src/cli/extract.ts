import { extractBlocks } from "../memory/extract-blocks.js";
import { openInput } from "../container/index.js";
import { inputOptions, parse, STREAM_OPTIONS, streamOptions, UsageError } from "./arguments.js";
import { memorySize, print, printJson, printWarnings, safe, table, withProgress } from "./output.js";

/** `qevm extract FILE --out DIR --format blocks`. */
export async function run(argv: string[]): Promise<number> {
  const options = { ...STREAM_OPTIONS, out: { type: "string" }, format: { type: "string" } } as const;
  const args = parse(argv, options, [1, 1], "one FILE");
  const out = args.text("out");
  if (out === undefined) throw new UsageError("--out is missing");
  const format = args.text("format");
  if (format !== "blocks") throw new UsageError("--format takes blocks");
  const source = withProgress(await openInput(args.positionals[0]!, inputOptions(args)), "extracting");
  const result = await extractBlocks(source, out, streamOptions(args)).finally(() => source.done());
  await source.close?.();
  printWarnings(result.warnings);
  for (const { name } of result.blocks.filter(({ inStream }) => !inStream)) {
    process.stderr.write(
      `warning: the stream carries no page of RAM block ${JSON.stringify(name)}; its file is empty\n`,
    );
  }
  if (args.flag("json")) printJson(result);
  else print(["", ...table([["block", "length", "file"], ...rows(result.blocks)], [0, 2])].slice(1));
  return 0;
}

function rows(blocks: readonly { name: string; file: string; length: number }[]): string[][] {
  return blocks.map(({ name, file, length }) => [safe(name), memorySize(length), safe(file)]);
}
