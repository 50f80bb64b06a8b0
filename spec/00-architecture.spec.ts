import { readFileSync } from "node:fs";
import { join } from "node:path";
import test from "tape";
import { projectRoot } from "../tools/corpus.js";
import { edges, fileCycles, folderCycles, readModules, type Module } from "../tools/structure.js";

const root = projectRoot();
const page = readFileSync(join(root, "spec/architecture.md"), "utf8");

/** An entry of `src` by its line in the first table of spec/architecture.md. */
const layers = new Map<string, number>();
/** The second table: Node API of a folder, everything or the named files. */
const nodeOf = new Map<string, "all" | string[]>();
for (const line of page.split("\n")) {
  const [, layer, entry] = /^\| (\d+) +\| `src\/([\w.-]+)` +\|/u.exec(line) ?? [];
  if (layer !== undefined && entry !== undefined) layers.set(entry, Number(layer));
  const [, folder, node] = /^\| `src\/([\w./-]+)` +\| ([^|]+?) +\|/u.exec(line) ?? [];
  if (folder === undefined || node === undefined) continue;
  const files = [...node.matchAll(/`([^`]+)`/gu)].map(([, file]) => file ?? "");
  nodeOf.set(folder, node === "all" ? "all" : files);
}

const modules = readModules();
const byFile = new Map(modules.map((one) => [one.file, one]));

/** The row of the second table for a file: its own, else that of the nearest folder. */
function placeOf(file: string): string | undefined {
  for (let path = file; path !== ""; path = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : "") {
    if (nodeOf.has(path)) return path;
  }
  return undefined;
}

test("every entry and folder of src is in the tables, and the tables have no other", (t) => {
  const entries = new Set(modules.map(({ entry }) => entry));
  t.ok(entries.size > 3, `${entries.size} entries`);
  t.deepEqual([...entries].filter((entry) => !layers.has(entry)).toSorted(), [], "entries without a layer");
  t.deepEqual(
    [...layers.keys()].filter((entry) => !entries.has(entry)),
    [],
    "layers without an entry",
  );
  t.deepEqual(
    modules.map(({ file }) => file).filter((file) => placeOf(file) === undefined),
    [],
    "files without a folder in the table",
  );
  const used = new Set(modules.map(({ file }) => placeOf(file)));
  t.deepEqual(
    [...nodeOf.keys()].filter((folder) => !used.has(folder)),
    [],
    "folders in the table without a file",
  );
  t.end();
});

test("imports point down the layers", (t) => {
  const between = edges(modules, (file) => file.split("/")[0]!);
  const wrong = [...between.keys()].filter((edge) => {
    const [from = "", to = ""] = edge.split(" ");
    return !(layers.get(to)! < layers.get(from)!);
  });
  t.deepEqual(wrong, []);
  t.ok(
    between.size > 0 && between.size <= MOST_EDGES,
    `${between.size} imports between entries, at most ${MOST_EDGES}`,
  );
  t.end();
});

/** More between fifteen entries would mean that something is in the wrong place. */
const MOST_EDGES = 60;

test("there are no import cycles between files, and between folders only the known ones", (t) => {
  t.deepEqual(fileCycles(modules), []);
  // A folder inside another one is part of it.
  const apart = folderCycles(modules).filter(
    (part) => !part.some((outer) => part.every((one) => one === outer || one.startsWith(`${outer}/`))),
  );
  t.deepEqual(apart, []);
  t.end();
});

/** The Node API that a module uses directly. */
function nodeUse({ imports, code }: Module): string | undefined {
  const imported = imports.find(({ specifier, typeOnly }) => specifier.startsWith("node:") && !typeOnly);
  if (imported !== undefined) return imported.specifier;
  // `globalThis.process?.` tests for Node, which works in a browser too.
  return /(?<!globalThis\.)\b(Buffer|process|require|setImmediate|__dirname)\b(?!\s*:)/u.exec(code)?.[1];
}

/** How a module reaches Node: the files on the path, the last of which uses it. Types and `import()` do not count. */
function wayToNode(from: Module, allowed: (file: string) => boolean): string[] | undefined {
  const before = new Map<string, string | undefined>([[from.file, undefined]]);
  for (const file of before.keys()) {
    const module = byFile.get(file);
    if (module === undefined || allowed(file)) continue;
    if (nodeUse(module) !== undefined) {
      const way: string[] = [];
      for (let at: string | undefined = file; at !== undefined; at = before.get(at)) way.unshift(at);
      return way;
    }
    for (const one of module.imports) {
      if (one.file !== undefined && !one.typeOnly && !one.lazy && !before.has(one.file)) before.set(one.file, file);
    }
  }
  return undefined;
}

/** Whether the table lists a file of a folder that is otherwise without Node. */
function mayTouch(file: string): boolean {
  const place = placeOf(file);
  const allowed = place === undefined ? [] : nodeOf.get(place)!;
  return allowed === "all" ? false : allowed.some((name) => file === `${place}/${name}`);
}

test("code without Node API does not reach it through other files", (t) => {
  const pure = modules.filter(({ file }) => nodeOf.get(placeOf(file) ?? "") !== "all" && !mayTouch(file));
  const wrong = pure.flatMap((module) => {
    const way = wayToNode(module, mayTouch);
    return way === undefined ? [] : [`${way.join(" imports ")} (${nodeUse(byFile.get(way.at(-1)!)!)})`];
  });
  t.deepEqual(wrong, []);
  t.ok(pure.length > 100, `${pure.length} modules without Node`);
  t.end();
});

test("imported packages are declared", (t) => {
  const { dependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  // The page is bundled with what it uses.
  const used = new Set(
    modules.filter(({ entry }) => entry !== "page").flatMap(({ imports }) => imports.map(({ specifier }) => specifier)),
  );
  const packages = [...used].filter((name) => !/^(?:\.|node:)/u.test(name));
  t.ok(packages.length > 0, packages.join(", "));
  t.deepEqual(
    packages.filter((name) => !(name in dependencies)),
    [],
  );
  t.end();
});

test("files stay short", (t) => {
  t.deepEqual(
    modules.filter(({ lines }) => lines > 400).map(({ file, lines }) => `${file}: ${lines}`),
    [],
  );
  t.end();
});
