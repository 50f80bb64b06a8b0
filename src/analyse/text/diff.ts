import type { LeftOut, Pair, PartDifference, PartValue, StreamDiff, StreamSummary } from "../diff/index.js";
import { deviceLines } from "./diff-devices.js";
import { clip, hex, place, rest, tail, WIDTH } from "./diff-text.js";
import { count, fileSize, memorySize, safe } from "../../bytes/text.js";
import { table, wrapped } from "./lines.js";
import { most } from "./voice.js";

/** Maximum number of printed lines of a list; the rest is counted. */
const MOST = 12;

/** The text report: the verdict, what a destination gets differently, and other differences in the encoding. */
export function diffLines(files: Pair<string>, diff: StreamDiff & { leftOut?: LeftOut }): string[] {
  const lines = [...headline("A", files.a, diff.a), ...headline("B", files.b, diff.b), ...verdict(diff)];
  const meant = diff.differences.filter(({ level }) => level === "meaning");
  block(lines, partLines(meant));
  block(lines, memoryLines(diff));
  block(lines, deviceLines(diff.devices, diff.a.machine));
  const other = encodingLines(diff);
  if (other.length > 0) block(lines, ["Written in another way:", ...other]);
  return lines;
}

function block(lines: string[], more: readonly string[]): void {
  if (more.length > 0) lines.push("", ...more);
}

function headline(
  letter: string,
  file: string,
  { streamLength, machine, complete, container }: StreamSummary,
): string[] {
  const parts = [
    fileSize(streamLength),
    machine === null ? "no configuration section" : `machine ${clip(safe(machine), 40)}`,
  ];
  if (container !== null) parts.push(container === "recording" ? "a recording" : `inside ${container}`);
  parts.push(complete ? "complete" : "NOT complete");
  return wrapped(`${letter}: ${tail(file, WIDTH - 4)}:`, parts);
}

/** The verdict where nothing that counts differs. */
export function sameText({ verdict: found, leftOut }: StreamDiff & { leftOut?: LeftOut }): string {
  if (found === "identical") return "Identical, byte for byte";
  const { parts = 0, pageCount: pages = 0, values = 0 } = leftOut ?? {};
  if (parts + pages + values > 0) return "The same, but for what is left out";
  return "The same, written in another way: a destination gets the same of both";
}

function verdict(diff: StreamDiff & { leftOut?: LeftOut }): string[] {
  const { verdict: found, differences, ram, devices, firstByte, a, b } = diff;
  const lines: string[] = [];
  if (found !== "different") lines.push(sameText(diff));
  else {
    const { different, onlyA, onlyB } = ram.compared;
    const parts: string[] = [];
    const pages = different + onlyA + onlyB;
    if (pages > 0) parts.push(plural(pages, "page"));
    const fields = devices.reduce((sum, device) => sum + device.fields.length, 0);
    if (fields > 0) parts.push(`${plural(fields, "value")} of ${plural(devices.length, "device")}`);
    const meant = differences.filter(({ level }) => level === "meaning");
    for (const part of new Set(meant.map((one) => one.part))) {
      parts.push(`${count(meant.filter((one) => one.part === part).length)} ${PLACES[part]}`);
    }
    lines.push(...wrapped("DIFFERENT:", parts));
  }
  if (firstByte !== null) {
    const { streamOffset: offset, part } = firstByte;
    const where = part.a === null ? "" : `, ${safe(part.a)}`;
    lines.push(clip(`First byte that differs: ${place(offset)}${where}`));
  }
  for (const [letter, { opaqueBytes, describedBy: description, warnings }] of Object.entries({ A: a, B: b })) {
    if (description === "of the other") lines.push(`Device state of ${letter} read by the other's VMDESCRIPTION`);
    if (opaqueBytes > 0) {
      const cut = warnings.some(({ code }) => code === "truncated");
      const hint = description === null && !cut ? "; --schema CAPTURE may read it" : "";
      lines.push(`Not understood in ${letter}: ${fileSize(opaqueBytes)}${hint}`);
    }
  }
  return lines;
}

/** Where the differences of a part are; printed after their number. */
const PLACES: Readonly<Record<PartDifference["part"], string>> = {
  end: "at the end",
  configuration: "in the configuration",
  "RAM block": "in RAM blocks",
  section: "in sections",
  records: "in records of sections",
  undecoded: "not decoded",
  command: "in commands",
  VMDESCRIPTION: "in VMDESCRIPTION",
  container: "in containers",
};

function plural(n: number, word: string): string {
  return `${count(n)} ${word}${n === 1 ? "" : "s"}`;
}

/** One line per part, or three where the values are long. */
function partLines(differences: readonly PartDifference[], indent = ""): string[] {
  const lines: string[] = [];
  for (const { part, subject: name, a, b, streamOffset: offset } of differences.slice(0, most(MOST))) {
    const what = safe(part === "end" ? name : `${part} ${name}`);
    const [inA, inB] = [valueText(a), valueText(b)];
    const where = place(offset);
    const line = `${indent}${what}: ${inA} | ${inB}${where === "" ? "" : `  (${where})`}`;
    if (line.length <= WIDTH) lines.push(line);
    else {
      lines.push(clip(`${indent}${what}:${where === "" ? "" : `  (${where})`}`));
      lines.push(clip(`${indent}  A: ${inA}`), clip(`${indent}  B: ${inB}`));
    }
  }
  rest(lines, differences.length - most(MOST), indent);
  return lines;
}

function valueText(value: PartValue): string {
  if (value === null) return "none";
  if (typeof value === "object") return value.length === 0 ? "none" : value.map(safe).join(" ");
  return typeof value === "number" ? decimal(value) : safe(String(value));
}

/** Formats a number where `0` is a value and not its absence. */
function decimal(value: number): string {
  return value === 0 ? "0" : count(value);
}

function memoryLines({ ram, verdict: found }: StreamDiff): string[] {
  const { compared: pages, differentBytes: bytes, notCompared } = ram;
  if (notCompared === "no RAM") return [];
  if (notCompared !== null) return [`RAM not compared: ${notCompared}`];
  const { different, onlyA, onlyB, same } = pages;
  const total = same + different + onlyA + onlyB;
  if (total === same) return found === "identical" ? [] : [`RAM: the same content in ${count(total)} pages`];
  const lines = wrapped("RAM:", [
    `${decimal(different)} of ${count(total)} pages differ`,
    ...(different > 0 ? [plural(ram.ranges.length, "range")] : []),
    ...(different > 0 ? [plural(bytes, "byte")] : []),
    ...(onlyA > 0 ? [`${count(onlyA)} with data in A only`] : []),
    ...(onlyB > 0 ? [`${count(onlyB)} with data in B only`] : []),
  ]);
  const columns = [
    ["block", "same", "different", "A only", "B only"],
    ...ram.blocks
      .filter(({ compared: of }) => of.different + of.onlyA + of.onlyB > 0)
      .map(({ block: name, compared: of }) => [
        clip(safe(name), 32),
        count(of.same),
        count(of.different),
        count(of.onlyA),
        count(of.onlyB),
      ]),
  ];
  const shown = columns.slice(0, most(MOST) + 1);
  lines.push(...table(shown));
  rest(lines, columns.length - shown.length, "  ");
  lines.push(...rangeLines(ram));
  return lines;
}

function rangeLines({ ranges, layout }: StreamDiff["ram"]): string[] {
  const guessed = layout?.some((line) => line.startsWith("guess")) === true;
  if (ranges.length === 0) return [];
  const rows = ranges.slice(0, most(MOST)).map(({ block: name, blockOffset: offset, length, physical }) => {
    return [hex(offset), clip(safe(name), 28), memorySize(length), physical === null ? "-" : hex(physical)];
  });
  const lines = table([["pages at", "in block", "length", guessed ? "physical (guess)" : "physical"], ...rows], [0, 1]);
  const withBytes: string[] = [];
  lines.forEach((line, i) => {
    withBytes.push(line);
    const first = i === 0 ? undefined : ranges[i - 1]!.first;
    if (first !== undefined && i <= 4) {
      withBytes.push(
        `    at ${hex(first.blockOffset)}  A ${spaced(first.a)}`,
        `    ${" ".repeat(3 + hex(first.blockOffset).length)}  B ${spaced(first.b)}`,
      );
    }
  });
  rest(withBytes, ranges.length - most(MOST), "  ");
  return withBytes;
}

function spaced(digits: string): string {
  return digits.replaceAll(/..(?!$)/g, "$& ");
}

const ENCODINGS = ["normal", "zero", "compressed", "xbzrle", "multifd", "mapped"] as const;

function encodingLines({ ram, differences }: StreamDiff): string[] {
  const lines = partLines(
    differences.filter(({ level }) => level === "encoding"),
    "  ",
  );
  const totals = { a: ENCODINGS.map(() => 0), b: ENCODINGS.map(() => 0) };
  for (const { recordCounts: records } of ram.blocks) {
    ENCODINGS.forEach((encoding, i) => {
      totals.a[i]! += records.a[encoding];
      totals.b[i]! += records.b[encoding];
    });
  }
  const used = ENCODINGS.map((_, i) => i).filter((i) => totals.a[i]! > 0 || totals.b[i]! > 0);
  const { otherEncoding: pages, same, ...others } = ram.compared;
  // Different contents explain different counts.
  const tells = pages > 0 || (same > 0 && Object.values(others).every((n) => n === 0));
  if (tells && used.some((i) => totals.a[i] !== totals.b[i])) {
    lines.push(
      `  RAM records${pages === 0 ? "" : `; ${plural(pages, "page")} of the same content came in another encoding`}`,
    );
    lines.push(
      ...indented([
        ["", ...used.map((i) => ENCODINGS[i]!)],
        ["A", ...used.map((i) => count(totals.a[i]!))],
        ["B", ...used.map((i) => count(totals.b[i]!))],
      ]),
    );
  }
  return lines;
}

function indented(rows: readonly (readonly string[])[]): string[] {
  return table(rows).map((line) => `  ${line}`);
}
