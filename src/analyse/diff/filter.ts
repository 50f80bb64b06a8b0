import { QevmError } from "../../bytes/errors.js";
import type { DeviceDiff, PageTotals, PartDifference, RamDiff, StreamDiff } from "./types.js";

/**
 * Which differences count. A pattern is a name in which `*` stands for anything, in any case: of a device (`cpu`,
 * `cpu/0`), a value of one (`cpu:env.tsc`, `*:*.tsc`), a RAM block (`pc.ram`), a kind of part (`section`,
 * `configuration`) or one part (`section timer`).
 */
export interface DiffFilter {
  /** Only what one of these matches. */
  only?: readonly string[];
  /** Not what one of these matches. */
  ignore?: readonly string[];
}

/** How many differences a filter left out. */
export interface LeftOut {
  parts: number;
  /** Pages of RAM blocks. */
  pageCount: number;
  /** Values of devices. */
  values: number;
}

/**
 * A comparison without what the filter leaves out; its verdict is that of the rest: "same" where nothing is left. RAM
 * that could not be compared stays different, unless `RAM block` is left out. Errors: usage, for an empty pattern.
 */
export function filterDiff(diff: StreamDiff, filter: DiffFilter): StreamDiff & { leftOut: LeftOut } {
  const counts = selector(filter);
  const differences = diff.differences.filter((one) => counts(namesOf(one)));
  const devices = diff.devices.flatMap((device) => remaining(device, counts));
  const ram = remainingRam(diff.ram, counts);
  const { different, onlyA, onlyB } = ram.compared;
  const unknown = ram.notCompared !== null && ram.notCompared !== "no RAM" && counts(["RAM block"]);
  const differs =
    (unknown && diff.verdict === "different") ||
    devices.length > 0 ||
    different + onlyA + onlyB > 0 ||
    differences.some(({ level }) => level === "meaning");
  const verdict = differs ? "different" : diff.verdict === "different" ? "same" : diff.verdict;
  const leftOut = {
    parts: diff.differences.length - differences.length,
    pageCount: changed(diff.ram.compared) - changed(ram.compared),
    values: valuesIn(diff.devices) - valuesIn(devices),
  };
  return { ...diff, verdict, differences, ram, devices, leftOut };
}

function valuesIn(devices: readonly DeviceDiff[]): number {
  return devices.reduce((sum, { fields }) => sum + fields.length, 0);
}

/** Whether something of these names counts. */
type Selector = (names: readonly string[]) => boolean;

function selector({ only = [], ignore = [] }: DiffFilter): Selector {
  const [wanted, unwanted] = [only.map(pattern), ignore.map(pattern)];
  return (names) => {
    const matches = (one: RegExp): boolean => names.some((name) => one.test(name));
    return (wanted.length === 0 || wanted.some(matches)) && !unwanted.some(matches);
  };
}

/** `*` stands for anything; no other character is special. */
function pattern(text: string): RegExp {
  if (text === "") throw new QevmError("usage", "a pattern is a name, with * for anything: it is empty");
  const parts = text.split(/\*+/u).map((part) => part.replaceAll(/[\\^$.*+?()[\]{}|]/gu, String.raw`\$&`));
  return new RegExp(`^${parts.join(".*")}$`, "isu");
}

function namesOf({ part, subject: name }: PartDifference): string[] {
  return part === "RAM block" || part === "section" ? [part, name, `${part} ${name}`] : [part, `${part} ${name}`];
}

function remaining(device: DeviceDiff, counts: Selector): DeviceDiff[] {
  const { section: name, instance } = device;
  const names = [name, `${name}/${instance}`];
  const fields = device.fields.filter(({ field: path }) =>
    counts([...names, ...names.map((one) => `${one}:${path}`), ...elementOf(path, names)]),
  );
  return fields.length === 0 ? [] : [{ ...device, fields }];
}

/** An element goes by the name of its array, too. */
function elementOf(path: string, names: readonly string[]): string[] {
  const array = path.replace(/\[\d+\]$/u, "");
  return array === path ? [] : names.map((one) => `${one}:${array}`);
}

function remainingRam(ram: RamDiff, counts: Selector): RamDiff {
  const kept = (name: string): boolean => counts(["RAM block", name, `RAM block ${name}`]);
  const blocks = ram.blocks.map((block) =>
    kept(block.block) ? block : { ...block, compared: unchanged(block.compared), differentBytes: 0 },
  );
  const pages: PageTotals = { same: 0, otherEncoding: ram.compared.otherEncoding, different: 0, onlyA: 0, onlyB: 0 };
  for (const { compared: of } of blocks) {
    for (const key of ["same", "different", "onlyA", "onlyB"] as const) pages[key] += of[key];
  }
  const bytes = blocks.reduce((sum, block) => sum + block.differentBytes, 0);
  return {
    ...ram,
    blocks,
    compared: pages,
    differentBytes: bytes,
    ranges: ram.ranges.filter(({ block }) => kept(block)),
  };
}

function changed({ different, onlyA, onlyB }: PageTotals): number {
  return different + onlyA + onlyB;
}

/** The pages of a block that does not count. */
function unchanged({ same, otherEncoding }: PageTotals): PageTotals {
  return { same, otherEncoding, different: 0, onlyA: 0, onlyB: 0 };
}
