import { counted } from "../explain/words.js";
import type { CatalogueMark, SectionItem } from "../../codec/stream/index.js";
import { deviceToPlain, plainPaths, type DeviceState, type PlainValue } from "../../codec/vmstate/index.js";
import { cpuRegisters } from "../../guest/cores/cpu.js";
import { registerLines } from "../../guest/cores/register-lines.js";
import { fileSize, numberText, safe } from "../../bytes/text.js";
import { table } from "./lines.js";

/** A device section as `qevm devices --json` has it. */
export function deviceDocument(item: SectionItem): Record<string, unknown> {
  const { idstr, instanceId, versionId, sectionId, offset, content } = item;
  const head = { section: idstr, instance: instanceId, id: sectionId, version: versionId, streamOffset: offset };
  if (content.kind === "device") {
    const mark = content.catalogue;
    const described = mark && { describedBy: mark.schema, ...uncertainOf(mark) };
    return { ...head, payloadLength: content.length, ...described, ...deviceToPlain(content.state) };
  }
  if (content.kind === "opaque") return { ...head, payloadLength: content.bytes.length, reason: content.reason };
  return head;
}

/** In JSON: the fields that are not certain, `true` for all of them. */
function uncertainOf({ uncertain, others }: CatalogueMark): { uncertain?: true | string[]; others?: number } {
  if (uncertain === undefined) return {};
  return { uncertain: uncertain.fields.length === 0 ? true : uncertain.fields, others };
}

/** A line a device: name, version, size of its state. */
export function devicesLines(items: readonly SectionItem[]): string[] {
  const rows = items.map((item) => {
    const { content } = item;
    const length = content.kind === "device" ? content.length : content.kind === "opaque" ? content.bytes.length : 0;
    const note = content.kind === "opaque" ? "not understood" : content.kind === "device" ? markText(content) : "";
    return [`${safe(item.idstr)}/${item.instanceId}`, `v${item.versionId}`, fileSize(length), note];
  });
  return table([["device", "version", "state", ""], ...rows]);
}

/** How device state was read that nothing describes; empty: by its description. */
export function markText({ catalogue: mark }: { catalogue?: CatalogueMark }): string {
  if (mark === undefined) return "";
  const { schema, uncertain, others } = mark;
  if (uncertain === undefined) return schema;
  if (others === 0) return `UNCERTAIN: ${schema}, another QEMU's`;
  if (uncertain.fields.length === 0) return `UNCERTAIN: ${schema}, and ${others} more that fit`;
  const [first, ...more] = uncertain.fields;
  return `${schema}; uncertain: ${safe(first!)}${more.length === 0 ? "" : ` and ${counted(more.length, "field")} more`}`;
}

/** The values of a device, a line each. */
export function deviceLines(item: SectionItem): string[] {
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
