import { Diagnostics } from "../bytes/errors.js";
import { unpackStream } from "../rewrite/pack/unpack.js";
import { parse, streamOffset, streamOptions } from "./arguments.js";
import { tellLeftovers } from "./out.js";
import { aboutContainers, printResult } from "./document.js";
import { delivered, memorySize, print, printWarnings, safe, table } from "./output.js";

/** `qevm unpack FILE DIR`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("unpack", argv, [2, 2], "FILE and DIR");
  const [file = "", folder = ""] = args.positionals;
  tellLeftovers(folder);
  let diagnostics = new Diagnostics();
  const manifest = await unpackStream(file, folder, {
    ...(await streamOptions(args)),
    snapshot: args.text("snapshot"),
    offset: streamOffset(args),
    onContainers: aboutContainers,
    onDiagnostics: (told) => (diagnostics = told),
  });
  printWarnings(diagnostics.warnings);
  const status = delivered(diagnostics, args.flag("accept-damage"));
  const devices = manifest.items.filter((item) => item.item === "section" && item.content.endsWith(".json")).length;
  if (args.flag("json")) {
    const blocks = manifest.ram.blocks.map(({ name, length, file: own }) => ({
      block: name,
      blockLength: length,
      file: own,
    }));
    printResult({ out: folder, pageSize: manifest.pageSize, blocks, deviceCount: devices }, diagnostics);
    return status;
  }
  print([
    `${safe(folder)}: manifest.json, ${manifest.ram.blocks.length} RAM blocks, ${devices} devices`,
    ...table(
      manifest.ram.blocks.map(({ name, length, file: path }) => [safe(name), memorySize(length), safe(path)]),
      [0, 2],
    ),
  ]);
  return status;
}
