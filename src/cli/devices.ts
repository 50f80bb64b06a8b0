import { counted } from "../analyse/explain/words.js";
import { StreamReader, type CatalogueMark, type SectionItem } from "../codec/stream/index.js";
import { openInput } from "../io/container/input.js";
import { cpuRegisters } from "../guest/cores/cpu.js";
import { didYouMean } from "../bytes/nearest.js";
import { deviceToPlain, plainPaths, type DeviceState, type PlainValue } from "../codec/vmstate/index.js";
import { inputOptions, parse, streamOptions, UsageError } from "./arguments.js";
import { registerLines } from "../guest/cores/register-lines.js";
import { numberText } from "../bytes/text.js";
import { delivered, fileSize, print, printJson, printWarnings, safe, table, tell, withProgress } from "./output.js";

/** `qevm devices FILE [NAME]`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("devices", argv, [1, 2], "FILE and at most one NAME");
  const [file, name] = args.positionals as [string, string | undefined];
  const source = withProgress(await openInput(file, inputOptions(args)), "reading");
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
  if (args.flag("json")) printJson({ devices: found.map(laterDocument), warnings: stream.diagnostics.warnings });
  else if (name === undefined) print(overview(found));
  else for (const item of found) print(values(item));
  return delivered(stream.diagnostics);
}

function matches(item: SectionItem, name: string | undefined): boolean {
  return name === undefined || item.idstr === name || `${item.idstr}/${item.instanceId}` === name;
}

/** Converted to JSON when it is printed: all documents at once would need several times the memory of the states. */
function laterDocument(item: SectionItem): { toJSON: () => Record<string, unknown> } {
  return { toJSON: () => deviceDocument(item) };
}

function deviceDocument(item: SectionItem): Record<string, unknown> {
  const { idstr, instanceId, versionId, sectionId, offset, content } = item;
  const head = { name: idstr, instance: instanceId, version: versionId, section: sectionId, offset };
  if (content.kind === "device") {
    const mark = content.catalogue;
    const schema = mark && { schema: mark.schema, ...uncertainOf(mark) };
    return { ...head, length: content.length, ...schema, ...deviceToPlain(content.state) };
  }
  if (content.kind === "opaque") return { ...head, length: content.bytes.length, opaque: content.reason };
  return head;
}

/** In JSON: the fields that are not certain, `true` for all of them. */
function uncertainOf({ uncertain, others }: CatalogueMark): { uncertain?: true | string[]; others?: number } {
  if (uncertain === undefined) return {};
  return { uncertain: uncertain.fields.length === 0 ? true : uncertain.fields, others };
}

function overview(items: readonly SectionItem[]): string[] {
  const rows = items.map((item) => {
    const { content } = item;
    const length = content.kind === "device" ? content.length : content.kind === "opaque" ? content.bytes.length : 0;
    const note = content.kind === "opaque" ? "not understood" : content.kind === "device" ? markText(content) : "";
    return [`${safe(item.idstr)}/${item.instanceId}`, `v${item.versionId}`, fileSize(length), note];
  });
  return table([["device", "version", "state", ""], ...rows]);
}

/** How device state was read that nothing describes. */
function markText({ catalogue: mark }: { catalogue?: CatalogueMark }): string {
  if (mark === undefined) return "";
  const { schema, uncertain, others } = mark;
  if (uncertain === undefined) return schema;
  if (others === 0) return `UNCERTAIN: ${schema}, another QEMU's`;
  if (uncertain.fields.length === 0) return `UNCERTAIN: ${schema}, and ${others} more that fit`;
  const [first, ...more] = uncertain.fields;
  return `${schema}; uncertain: ${safe(first!)}${more.length === 0 ? "" : ` and ${counted(more.length, "field")} more`}`;
}

function values(item: SectionItem): string[] {
  const lines = [
    `${safe(item.idstr)}/${item.instanceId} version ${item.versionId} at byte 0x${item.offset.toString(16)}`,
  ];
  if (item.content.kind === "device") {
    if (item.content.catalogue !== undefined) lines.push(`  ${markText(item.content)}`);
    stateLines(item.idstr, item.content.state, lines);
  }
  if (item.content.kind === "opaque") lines.push(`  not understood: ${safe(item.content.reason)}`);
  return lines;
}

/** Every value by the name that `generate --set` takes; before them, the registers of an x86 CPU. */
function stateLines(idstr: string, state: DeviceState, lines: string[]): void {
  const registers = idstr === "cpu" ? cpuRegisters(state) : undefined;
  if (registers !== undefined) lines.push(...registerLines(registers));
  for (const [path, value] of plainPaths(deviceToPlain(state))) lines.push(`  ${safe(path)} = ${valueText(value)}`);
}

function valueText(value: PlainValue): string {
  if (Array.isArray(value)) return value.map((element) => valueText(element)).join(" ");
  if (typeof value === "number") return Number.isInteger(value) ? numberText(value) : String(value);
  return safe(typeof value === "string" ? value : JSON.stringify(value));
}
