import { hexOf as digitsOf } from "../../bytes/text.js";
import type { Configuration } from "../../codec/stream/index.js";
import type { Scanned } from "./scan.js";
import type { Pair, PartDifference, PartValue } from "./types.js";

type Level = PartDifference["level"];
type Offsets = Pair<number | null>;

const NOWHERE: Offsets = { a: null, b: null };

/** Gathers what differs between two streams, part by part. */
export class Differences {
  readonly found: PartDifference[] = [];

  constructor(private readonly part: PartDifference["part"]) {}

  /** Notes a value where it is not the same. */
  value(level: Level, name: string, a: PartValue, b: PartValue, offset = NOWHERE): void {
    if (JSON.stringify(a) === JSON.stringify(b)) return;
    this.found.push({ level, part: this.part, subject: name, a, b, streamOffset: offset });
  }
}

/** The configuration section, and what it decides. */
export function compareConfigurations(a: Scanned, b: Scanned): PartDifference[] {
  const out = new Differences("configuration");
  const offset = { a: a.configuration?.offset ?? null, b: b.configuration?.offset ?? null };
  const [ca, cb] = [a.configuration?.configuration, b.configuration?.configuration];
  if (ca === undefined || cb === undefined) out.value("meaning", "section", there(ca), there(cb), offset);
  else out.value("meaning", "machine", ca.machine, cb.machine, offset);
  out.value("encoding", "capabilities", sorted(a.inspection.capabilities), sorted(b.inspection.capabilities), offset);
  out.value("meaning", "page size", a.inspection.pageSize, b.inspection.pageSize, offset);
  if (ca !== undefined && cb !== undefined) {
    const [ua, ub] = [uuidOf(ca), uuidOf(cb)];
    out.value(ua === null || ub === null ? "encoding" : "meaning", "uuid", ua, ub, offset);
    const [na, nb] = [namesOf(ca), namesOf(cb)];
    out.value("encoding", "subsections", na, nb, offset);
  }
  return out.found;
}

/** The block list: which blocks there are, and the properties of each. */
export function compareBlocks(a: Scanned, b: Scanned): PartDifference[] {
  const out = new Differences("RAM block");
  const offset = { a: a.blockList, b: b.blockList };
  const others = new Map(b.blocks.map((block) => [block.idstr, block]));
  const both: string[] = [];
  for (const block of a.blocks) {
    const { idstr } = block;
    const other = others.get(idstr);
    if (other === undefined) {
      out.value("meaning", idstr, block.usedLength, null, { a: a.blockList, b: null });
      continue;
    }
    both.push(idstr);
    out.value("meaning", `${idstr} length`, block.usedLength, other.usedLength, offset);
    optional(out, `${idstr} page size`, block.pageSize, other.pageSize, offset);
    optional(out, `${idstr} address`, block.address, other.address, offset);
    const carried = { a: a.pages.has(idstr), b: b.pages.has(idstr) };
    out.value("meaning", `${idstr} pages`, said(carried.a), said(carried.b), offset);
  }
  const mine = new Set(a.blocks.map(({ idstr }) => idstr));
  for (const { idstr, usedLength } of b.blocks) {
    if (!mine.has(idstr)) out.value("meaning", idstr, null, usedLength, { a: null, b: b.blockList });
  }
  const order = b.blocks.map(({ idstr }) => idstr).filter((idstr) => mine.has(idstr));
  out.value("encoding", "order", both, order, offset);
  return out.found;
}

/** Commands are how a stream is sent, not what. */
export function compareCommands(a: Scanned, b: Scanned): PartDifference[] {
  const out = new Differences("command");
  const [ca, cb] = [a.inspection.commands, b.inspection.commands];
  for (const name of new Set([...ca, ...cb].map((command) => command.name))) {
    const [na, nb] = [ca, cb].map((commands) => commands.filter((command) => command.name === name));
    const offset = { a: na![0]?.streamOffset ?? null, b: nb![0]?.streamOffset ?? null };
    out.value("encoding", name, na!.length || null, nb!.length || null, offset);
  }
  if (out.found.length > 0) return out.found;
  const texts = [ca, cb].map((commands) =>
    commands.map((command) => JSON.stringify({ ...command, streamOffset: undefined })),
  );
  const at = texts[0]!.findIndex((text, i) => text !== texts[1]![i]);
  if (at >= 0) {
    const offset = { a: ca[at]!.streamOffset, b: cb[at]!.streamOffset };
    out.value("encoding", `number ${at}`, texts[0]![at]!, texts[1]![at]!, offset);
  }
  return out.found;
}

/** The description itself; differences of devices are reported with the devices. No loader reads it. */
export function compareDescriptions({ description: a }: Scanned, { description: b }: Scanned): PartDifference[] {
  const out = new Differences("VMDESCRIPTION");
  const offset = { a: a?.offset ?? null, b: b?.offset ?? null };
  if (a === undefined || b === undefined) {
    out.value("encoding", "length", a?.text.length ?? null, b?.text.length ?? null, offset);
    return out.found;
  }
  if (a.text === b.text) return [];
  out.value("encoding", "page_size", a.parsed.pageSize, b.parsed.pageSize, offset);
  out.value("encoding", "style", a.parsed.style, b.parsed.style, offset);
  out.value("encoding", "devices", a.parsed.devices.length, b.parsed.devices.length, offset);
  let at = 0;
  while (a.text[at] === b.text[at]) at++;
  const from = { a: a.textOffset + at, b: b.textOffset + at };
  out.value("encoding", "text", excerpt(a.text, at), excerpt(b.text, at), from);
  return out.found;
}

const EXCERPT = 60;

function excerpt(text: string, at: number): string {
  return text.slice(at, at + EXCERPT);
}

function optional(out: Differences, name: string, a: bigint | undefined, b: bigint | undefined, offset: Offsets): void {
  // Capabilities decide whether it is in the stream.
  const level = a === undefined || b === undefined ? "encoding" : "meaning";
  out.value(level, name, hexOf(a), hexOf(b), offset);
}

function hexOf(value: bigint | undefined): string | null {
  return value === undefined ? null : `0x${value.toString(16)}`;
}

function there(value: unknown): PartValue {
  return value === undefined ? null : "there";
}

function said(carried: boolean): PartValue {
  return carried ? "sent" : "none sent";
}

function sorted(names: readonly string[]): string[] {
  return names.toSorted();
}

function uuidOf({ subsections }: Configuration): string | null {
  for (const subsection of subsections) {
    if (subsection.name === "configuration/uuid") return digitsOf(subsection.uuid);
  }
  return null;
}

/** Other parts are compared by their values. */
function namesOf({ subsections }: Configuration): string[] {
  return subsections.map(({ name, version }) => `${name} ${version}`);
}
