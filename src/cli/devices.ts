import { StreamReader, type SectionItem } from "../codec/stream/index.js";
import { didYouMean } from "../bytes/nearest.js";
import { deviceDocument, deviceLines, devicesLines } from "../analyse/text/devices.js";
import { openFile, printResult } from "./document.js";
import { inputOptions, parse, streamOptions, UsageError } from "./arguments.js";
import { delivered, print, printWarnings, tell, withProgress } from "./output.js";

/** `qevm devices FILE [NAME]`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("devices", argv, [1, 2], "FILE and at most one NAME");
  const [file, name] = args.positionals as [string, string | undefined];
  const source = withProgress(await openFile(file, inputOptions(args)), "reading");
  const stream = new StreamReader(source, await streamOptions(args));
  const found: SectionItem[] = [];
  const names = new Set<string>();
  let rest: string | undefined;
  for await (const item of stream) {
    if (item.kind === "section" && item.type === "full") {
      if (matches(item, name)) found.push(item);
      names.add(item.idstr).add(`${item.idstr}/${item.instanceId}`);
    }
    if (item.kind === "opaque") rest = `from byte 0x${item.offset.toString(16)}: ${item.reason}`;
  }
  source.done();
  await source.close?.();
  printWarnings(stream.diagnostics.warnings);
  if (rest !== undefined) tell(`not decoded ${rest}`);
  if (name !== undefined && found.length === 0) {
    throw new UsageError(`no device ${JSON.stringify(name)} in ${file}${didYouMean(name, [...names])}`);
  }
  if (args.flag("json")) printResult({ devices: found.map(laterDocument) }, stream.diagnostics);
  else if (name === undefined) print(devicesLines(found));
  else for (const item of found) print(deviceLines(item));
  return delivered(stream.diagnostics);
}

function matches(item: SectionItem, name: string | undefined): boolean {
  return name === undefined || item.idstr === name || `${item.idstr}/${item.instanceId}` === name;
}

/** Converted to JSON when it is printed: all documents at once would need several times the memory of the states. */
function laterDocument(item: SectionItem): { toJSON: () => Record<string, unknown> } {
  return { toJSON: () => deviceDocument(item) };
}
