import type { LeftOut, StreamDiff } from "../analyse/diff/index.js";
import { sameText } from "../analyse/text/diff.js";
import { count, grouped, memorySize, safe, table } from "./output.js";

/** Width of the longest bar in columns. */
const BAR = 24;

/** `qevm diff --stat`: a line for each RAM block, device and part that differs, and the sum of all. */
export function statLines(diff: StreamDiff & { leftOut?: LeftOut }): string[] {
  const { verdict, ram, devices, differences } = diff;
  const things: { what: string; n: number; unit: string; more: string }[] = [];
  for (const { block: name, compared: pages, differentBytes: bytes } of ram.blocks) {
    const n = pages.different + pages.onlyA + pages.onlyB;
    if (n > 0) things.push({ what: safe(name), n, unit: "pages", more: bytes > 0 ? memorySize(bytes) : "" });
  }
  for (const { section: name, instance, fields } of devices) {
    things.push({ what: `${safe(name)}/${instance}`, n: fields.length, unit: "values", more: "" });
  }
  const parts = differences.filter(({ level }) => level === "meaning");
  for (const { part, subject: name } of parts)
    things.push({ what: safe(`${part} ${name}`), n: 1, unit: "part", more: "" });
  const most = Math.max(1, ...things.map(({ n }) => n));
  const rows = things.map(({ what, n, unit, more }) => {
    const bar = "#".repeat(Math.ceil((n / most) * BAR));
    return [what, grouped(n), n === 1 ? unit.replace(/s$/u, "") : unit, bar, more];
  });
  const { different, onlyA, onlyB } = ram.compared;
  const values = devices.reduce((sum, { fields }) => sum + fields.length, 0);
  const sums = [
    `${grouped(different + onlyA + onlyB)} pages`,
    `${grouped(values)} values of ${grouped(devices.length)} devices`,
    `${grouped(parts.length)} parts`,
  ];
  return [...table(rows, [0, 2, 3, 4]), verdict === "different" ? `DIFFERENT: ${sums.join(", ")}` : sameText(diff)];
}

/** What `--only` and `--ignore` left out. */
export function leftOutLines({ parts, pageCount: pages, values }: LeftOut): string[] {
  if (parts + pages + values === 0) return ["", "Left out: nothing"];
  const told = [
    [pages, "pages"],
    [values, "values"],
    [parts, "parts"],
  ] as const;
  return ["", `Left out: ${told.flatMap(([n, what]) => (n > 0 ? [`${count(n)} ${what}`] : [])).join(", ")}`];
}
