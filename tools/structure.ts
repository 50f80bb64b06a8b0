/**
 * `node dist/tools/structure.js`: the import structure of `src`. Prints the entries of `src`, the imports between them,
 * import cycles between files, and the size of each entry. The specification checks the code against the table in
 * `spec/architecture.md` with the same functions.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { projectRoot } from "./corpus.js";

/** One import of a module. */
interface Import {
  /** The specifier in the source. */
  readonly specifier: string;
  /** The imported file below `src`; undefined: a package or a part of Node. */
  readonly file: string | undefined;
  /** Removed by compilation. */
  readonly typeOnly: boolean;
  /** Loaded on demand: `import("...")`. */
  readonly lazy: boolean;
}

/** One file of `src`. */
export interface Module {
  /** Path below `src`. */
  readonly file: string;
  /** First component of the path: a folder or a file. */
  readonly entry: string;
  readonly imports: readonly Import[];
  /** The source without comments and string contents. */
  readonly code: string;
  readonly lines: number;
}

const STATEMENT = /(?<![.\w])(import|export)\s+(type\s+)?([^;"'()]*?)from\s*"([^"]+)"|(?<![.\w])import\s+"([^"]+)"/gu;
const LAZY = /(?<![.\w])import\s*\(\s*"([^"]+)"\s*\)/gu;

/** Every module of `src` except AssemblyScript. */
export function readModules(): Module[] {
  const src = join(projectRoot(), "src");
  return readdirSync(src, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => /\.tsx?$/u.test(path) && !path.endsWith(".d.ts") && !path.startsWith("engine/wasm/"))
    .toSorted()
    .map((file) => {
      const text = readFileSync(join(src, file), "utf8");
      const code = text.replaceAll(/\/\*[\s\S]*?\*\/|(?<![:\w"'`])\/\/[^\n]*/gu, "");
      return {
        file,
        entry: file.split("/")[0]!,
        imports: importsOf(file, code),
        code: code.replaceAll(/"[^"\n]*"|`[^`]*`/gu, '""'),
        lines: text.split("\n").length - 1,
      };
    });
}

function importsOf(file: string, code: string): Import[] {
  const target = (specifier: string): string | undefined =>
    specifier.startsWith(".") ? sourceOf(posix.join(posix.dirname(file), specifier)) : undefined;
  const found: Import[] = [];
  for (const [, , type, names = "", from, bare] of code.matchAll(STATEMENT)) {
    const specifier = from ?? bare!;
    const inner = /^\{([\s\S]*)\}\s*$/u.exec(names.trim())?.[1];
    const parts = inner?.split(",").filter((name) => name.trim() !== "") ?? [];
    const typeOnly = type !== undefined || (parts.length > 0 && parts.every((name) => /^\s*type\s/u.test(name)));
    found.push({ specifier, file: target(specifier), typeOnly, lazy: false });
  }
  for (const [, specifier] of code.matchAll(LAZY)) {
    found.push({ specifier: specifier!, file: target(specifier!), typeOnly: false, lazy: true });
  }
  return found;
}

/** The source of a compiled module. */
function sourceOf(path: string): string {
  const stem = path.replace(/\.js$/u, "");
  return existsSync(join(projectRoot(), "src", `${stem}.tsx`)) ? `${stem}.tsx` : `${stem}.ts`;
}

/** Imports between groups of files, as "from to". @param group the group of a file */
export function edges(modules: readonly Module[], group: (file: string) => string): Map<string, number> {
  const found = new Map<string, number>();
  for (const { file, imports } of modules) {
    for (const one of imports) {
      if (one.file === undefined || group(one.file) === group(file)) continue;
      const edge = `${group(file)} ${group(one.file)}`;
      found.set(edge, (found.get(edge) ?? 0) + 1);
    }
  }
  return found;
}

/** Sets of nodes that can all reach each other: import cycles. @param next the imports of a node */
export function cycles(nodes: readonly string[], next: (node: string) => readonly string[]): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const open = new Set<string>();
  const found: string[][] = [];
  const visit = (node: string): void => {
    index.set(node, index.size);
    low.set(node, index.get(node)!);
    stack.push(node);
    open.add(node);
    for (const other of next(node)) {
      if (!index.has(other)) visit(other);
      if (open.has(other)) low.set(node, Math.min(low.get(node)!, low.get(other)!));
    }
    if (low.get(node) !== index.get(node)) return;
    const part: string[] = [];
    for (let other = ""; other !== node;) {
      other = stack.pop()!;
      open.delete(other);
      part.push(other);
    }
    if (part.length > 1) found.push(part.toSorted());
  };
  for (const node of nodes) if (!index.has(node)) visit(node);
  return found;
}

/** Import cycles between files of `src`, including type imports. */
export function fileCycles(modules: readonly Module[]): string[][] {
  const imports = new Map(modules.map(({ file, imports: all }) => [file, all.flatMap((one) => one.file ?? [])]));
  return cycles([...imports.keys()], (file) => imports.get(file) ?? []);
}

const folder = (file: string): string => (file.includes("/") ? posix.dirname(file) : file);

/** Import cycles between folders of `src`, including type imports. */
export function folderCycles(modules: readonly Module[]): string[][] {
  const next = new Map<string, Set<string>>();
  for (const edge of edges(modules, folder).keys()) {
    const [from = "", to = ""] = edge.split(" ");
    next.set(from, (next.get(from) ?? new Set()).add(to));
  }
  return cycles([...next.keys()], (from) => [...(next.get(from) ?? [])]);
}

const linesOf = (modules: readonly Module[]): number => modules.reduce((sum, one) => sum + one.lines, 0);

function main(): void {
  const modules = readModules();
  const entries = [...new Set(modules.map(({ entry }) => entry))];
  const between = edges(modules, (file) => file.split("/")[0]!);
  console.log(
    `src: ${modules.length} files, ${linesOf(modules)} lines, ${entries.length} entries, ${between.size} imports between them`,
  );
  for (const entry of entries) {
    const own = modules.filter((one) => one.entry === entry);
    const to = [...between.keys()].filter((edge) => edge.startsWith(`${entry} `)).map((edge) => edge.split(" ")[1]);
    console.log(`  ${entry}: ${own.length} files, ${linesOf(own)} lines; imports ${to.join(", ") || "nothing"}`);
  }
  for (const [what, found] of [
    ["files", fileCycles(modules)],
    ["folders", folderCycles(modules)],
  ] as const) {
    console.log(`circles of ${what}: ${found.length}`);
    for (const part of found) console.log(`  ${part.join(", ")}`);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) main();
