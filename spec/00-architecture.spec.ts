import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import test from "tape";

const root = fileURLToPath(new URL("../..", import.meta.url));

interface Room {
  layer: number;
  /** "all", or the files of the room that may touch Node. */
  node: "all" | string[];
}

/** The table of rooms in spec/architecture.md: the page is the rule, this only applies it. */
function readRooms(): Map<string, Room> {
  const rooms = new Map<string, Room>();
  for (const line of readFileSync(`${root}spec/architecture.md`, "utf8").split("\n")) {
    const [, layer, room, node] = /^\| (\d+) +\| `src\/([\w.-]+)` +\| ([^|]+?) +\|/u.exec(line) ?? [];
    if (layer === undefined || room === undefined || node === undefined) continue;
    const files = [...node.matchAll(/`([^`]+)`/gu)].map(([, file]) => file ?? "");
    rooms.set(room, { layer: Number(layer), node: node === "all" ? "all" : files });
  }
  return rooms;
}

interface Module {
  room: string;
  file: string;
  imports: string[];
  code: string;
}

/** Every module of src with what it imports, comments and string contents left out of `code`. */
function readModules(): Module[] {
  return readdirSync(`${root}src`, { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => path.replaceAll("\\", "/"))
    .map((path) => {
      const text = readFileSync(`${root}src/${path}`, "utf8");
      const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/gu, "");
      const imports = [...code.matchAll(/(?<![.\w])(?:from|import)\s*\(?\s*"([^"]+)"/gu)].map(([, name]) => name ?? "");
      const [room = ""] = path.split("/");
      return { room, file: path, imports, code: code.replaceAll(/"[^"\n]*"|`[^`]*`/gu, '""') };
    });
}

/** The room that `file` means by "../ram/index.js". */
function target(file: string, specifier: string): string {
  const path = new URL(specifier, `file:///src/${file}`).pathname.replace(/^\/src\//u, "");
  return path.split("/")[0]?.replace(/\.js$/u, ".ts") ?? "";
}

const rooms = readRooms();
const modules = readModules();

test("every room has its place in the table, and the table names no other", (t) => {
  const found = new Set(modules.map(({ room }) => room));
  t.ok(found.size > 3, `${found.size} rooms`);
  t.deepEqual(
    [...found].filter((room) => !rooms.has(room)),
    [],
    "rooms without a layer in spec/architecture.md",
  );
  t.deepEqual(
    [...rooms.keys()].filter((room) => !found.has(room)),
    [],
    "layers without a room",
  );
  t.end();
});

test("imports point down the layers", (t) => {
  const wrong: string[] = [];
  let across = 0;
  for (const { room, file, imports } of modules) {
    for (const specifier of imports.filter((name) => name.startsWith("."))) {
      const to = target(file, specifier);
      if (to === room) continue;
      across++;
      const from = rooms.get(room)?.layer ?? Number.NaN;
      const down = rooms.get(to)?.layer ?? Number.NaN;
      if (!(down < from)) wrong.push(`${file} (${from}) imports ${specifier} (${down})`);
    }
  }
  t.deepEqual(wrong, []);
  t.ok(across > 0, `${across} imports between rooms`);
  t.end();
});

test("codecs touch no Node API", (t) => {
  const wrong: string[] = [];
  let pure = 0;
  for (const { room, file, imports, code } of modules) {
    const allowed = rooms.get(room)?.node ?? [];
    if (allowed === "all" || allowed.some((name) => file === `${room}/${name}`)) continue;
    pure++;
    for (const name of imports) if (name.startsWith("node:")) wrong.push(`${file} imports ${name}`);
    // `globalThis.process?.` asks whether there is a Node at all: that runs in a browser too.
    const used = /(?<!globalThis\.)\b(Buffer|process|require|setImmediate|__dirname)\b(?!\s*:)/u.exec(code)?.[1];
    if (used !== undefined) wrong.push(`${file} uses ${used}`);
  }
  t.deepEqual(wrong, []);
  t.ok(pure > 0, `${pure} modules without Node`);
  t.end();
});

test("what is imported from packages is declared", (t) => {
  const { dependencies } = JSON.parse(readFileSync(`${root}package.json`, "utf8")) as {
    dependencies: Record<string, string>;
  };
  const used = new Set<string>();
  for (const { imports } of modules) {
    for (const name of imports.filter((specifier) => !/^(\.|node:)/u.test(specifier))) used.add(name);
  }
  t.deepEqual(
    [...used].filter((name) => !(name in dependencies)),
    [],
  );
  t.end();
});

test("files stay small enough to hold one thing", (t) => {
  const long = modules
    .map(({ file }) => ({ file, lines: readFileSync(`${root}src/${file}`, "utf8").split("\n").length }))
    .filter(({ lines }) => lines > 400);
  t.deepEqual(long, []);
  t.end();
});
