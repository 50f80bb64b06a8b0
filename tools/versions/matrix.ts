/** Proves every feature with every installed QEMU, and prints the results as one table. */
import { readFileSync, writeFileSync } from "node:fs";
import { QevmError } from "../../src/bytes/errors.js";
import { findQemu, type QemuBinary } from "../qemu/find.js";
import { QemuProcess } from "../qemu/process.js";
import { type JsonObject, textOf } from "../../src/io/transport/qmp.js";
import { type Cell, type Feature, wordsOf } from "./feature.js";

/** A row of the table: the results by version. */
export interface Row {
  readonly name: string;
  readonly cells: Readonly<Record<string, Cell>>;
}

/** Proves one feature in one version. Never rejects: the cell reports the failure. */
export async function proveCell(feature: Feature, qemu: QemuBinary, known: ReadonlySet<string>): Promise<Cell> {
  const unknown = (feature.needs ?? []).filter((capability) => !known.has(capability));
  if (unknown.length > 0) return `not in this version: no capability ${unknown.join(", ")}`;
  const reason = feature.without?.(qemu.version);
  if (reason !== undefined) return reason;
  try {
    return await feature.prove(qemu);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    if (/not supported by host kernel|Postcopy is not supported/u.test(text)) {
      return "not on this machine: the kernel gives QEMU no userfaultfd (root has it)";
    }
    return { verify: `failed: ${text.split("\n")[0] ?? ""}`, memory: "-", loads: "-" };
  }
}

/** The capabilities that a QEMU lists. */
export async function capabilitiesOf(qemu: QemuBinary): Promise<Set<string>> {
  const vm = await QemuProcess.start(qemu, ["-machine", "none"]);
  try {
    const list = (await vm.execute("query-migrate-capabilities")) as readonly JsonObject[];
    return new Set(list.map(({ capability }) => textOf(capability)));
  } finally {
    await vm.close();
  }
}

/** Every feature in every version; calls `tell` with each finished cell. */
export async function proveAll(
  features: readonly Feature[],
  versions: readonly string[],
  tell: (version: string, name: string, cell: Cell) => void,
): Promise<Row[]> {
  const cells = new Map<string, Record<string, Cell>>(features.map(({ name }) => [name, {}]));
  for (const version of versions) {
    const qemu = findQemu(version);
    const known = qemu === undefined ? new Set<string>() : await capabilitiesOf(qemu);
    for (const feature of features) {
      const cell = qemu === undefined ? `no QEMU ${version} here` : await proveCell(feature, qemu, known);
      cells.get(feature.name)![version] = cell;
      tell(version, feature.name, cell);
    }
  }
  return features.map(({ name }) => ({ name, cells: cells.get(name)! }));
}

const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

/** The table: one row per feature, one column per version. */
export function tableOf(rows: readonly Row[], versions: readonly string[]): string {
  const head = ["feature", ...versions.map((version) => `QEMU ${version}`)];
  const body = rows.map(({ name, cells }) => [name, ...versions.map((version) => wordsOf(cells[version] ?? ""))]);
  return [head, head.map(() => "---"), ...body].map(line).join("\n");
}

const begin = "<!-- table: npm run test:versions -- --write -->";
const end = "<!-- end of table -->";

/** The table in a page, between its marks. Throws `QevmError` (bad-value) when the page has no marks. */
export function tableIn(page: string): string {
  const text = readFileSync(page, "utf8");
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new QevmError("bad-value", `${page} has no marks for its table`);
  return text.slice(from + begin.length, to).trim();
}

/** Replaces the table in a page. */
export function writeTable(page: string, table: string): void {
  const old = tableIn(page);
  const text = readFileSync(page, "utf8");
  writeFileSync(page, old === "" ? text.replace(begin, `${begin}\n\n${table}`) : text.replace(old, () => table));
}
