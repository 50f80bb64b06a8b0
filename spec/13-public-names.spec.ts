/** The public surface: listed, documented, with examples that compile. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import test from "tape";
import * as codec from "../src/codec.js";
import * as library from "../src/index.js";
import * as node from "../src/node.js";
import { projectRoot } from "../tools/corpus.js";

interface PublicName {
  entry: string;
  name: string;
  kind: "class" | "function" | "value" | "type";
  example: string | undefined;
}

interface Tool {
  ENTRIES: readonly (readonly [string, string])[];
  publicNames(
    project: string,
    entries: readonly (readonly [string, string])[],
  ): { names: PublicName[]; problems: string[] };
  listOf(names: readonly PublicName[]): string;
}

const root = projectRoot();
const tool = (await import(pathToFileURL(join(root, "tools/public-names.mjs")).href)) as Tool;
mkdirSync(join(root, "dist"), { recursive: true });
/** Inside the package, so that "qevm" is what a user's import of it would be. */
const work = mkdtempSync(join(root, "dist", "names-"));
test.onFinish(() => rmSync(work, { recursive: true, force: true }));
const list = readFileSync(join(root, "spec/public-names.txt"), "utf8");

test("the list names what the entries export", (t) => {
  for (const [entry, module] of [
    ["qevm", library],
    ["qevm/codec", codec],
    ["qevm/node", node],
  ] as const) {
    const [, part = ""] = new RegExp(`^${entry}: \\d+ names\\n\\n((?:.+\\n)+)`, "mu").exec(list) ?? [];
    const listed = part.split("\n").map((line) => line.split(/ +/u));
    const values = listed.filter(([kind]) => kind !== "type").flatMap(([, name]) => name ?? []);
    t.deepEqual(values.toSorted(), Object.keys(module).toSorted(), `${entry}: ${values.length} values`);
    t.ok(listed.length < { qevm: 76, "qevm/codec": 201, "qevm/node": 213 }[entry], `${entry}: ${listed.length} names`);
  }
  for (const file of ["index.ts", "codec.ts", "node.ts"]) {
    t.notOk(/export \*/u.test(readFileSync(join(root, "src", file), "utf8")), `${file}: every name by itself`);
  }
  t.end();
});

test("a name without documentation, without an example, or made of what is not public, is a problem", (t) => {
  const main = join(work, "main.ts");
  const other = join(work, "other.ts");
  writeFileSync(
    main,
    `export { bare, type Hidden as _ } from "./other.js";
    /** Described. */
    export function described(hidden: Inner): void { console.log(hidden); }
    /**
     * Described.
     * @example
     * shown({}, 1);
     */
    export function shown(options: Options, n: number): void { const it: Inner = { b: n }; console.log(options, it); }
    /** Described. */
    export interface Options {
      /** @internal Not for everybody. */
      a?: Inner;
    }
    interface Inner { b: number }
    /** Described. */
    export class Public { private c: Inner | undefined; get(): string { return String(this.c); } }\n`,
  );
  writeFileSync(other, "export const bare = 1;\nexport interface Hidden { a: number }\n");
  const project = join(work, "tsconfig.json");
  writeFileSync(project, JSON.stringify({ compilerOptions: { types: [] }, files: [main, other] }));
  const { names, problems } = tool.publicNames(project, [["main", main]]);
  t.deepEqual(names.map(({ name, kind }) => `${kind} ${name}`).toSorted(), [
    "class Public",
    "function described",
    "function shown",
    "type Options",
    "type _",
    "value bare",
  ]);
  t.deepEqual(problems.toSorted(), [
    "Inner, which described is made of, is not public",
    "main: Public has no example",
    "main: _ has no documentation",
    "main: bare has no documentation",
    "main: described has no example",
  ]);
  t.end();
});

test("the examples of the library compile strictly as a user's code", (t) => {
  const entries = tool.ENTRIES.map(([entry, file]) => [entry, join(root, file)] as const);
  const { names, problems } = tool.publicNames(join(root, "tsconfig.json"), entries);
  t.deepEqual(problems, [], "nothing is without documentation");
  t.equal(list, tool.listOf(names), "the list is what node tools/public-names.mjs --write makes");
  const examples = names.filter((one) => one.example !== undefined);
  t.ok(examples.length > 20, `${examples.length} examples`);
  const parts = entries.map(([entry], i) => `import * as entry${i} from ${JSON.stringify(entry)};`);
  const text = examples.map(({ entry, name, example = "" }, i) => {
    const from = names
      .filter((one) => one.entry === entry || one.entry === "qevm")
      .filter(({ kind }) => kind !== "type");
    const used = [...new Map(from.map((one) => [one.name, one])).values()].filter((one) =>
      new RegExp(`\\b${one.name}\\b`, "u").test(example),
    );
    const unpacked = used.map((one) => {
      const at = entries.findIndex(([of]) => of === one.entry);
      return `const ${one.name} = entry${at}.${one.name};`;
    });
    return `/** ${entry} ${name} */\nexport async function example${i}(bytes: Uint8Array): Promise<void> {\n${unpacked.join("\n")}\n{\n${example}\n}\n}`;
  });
  const file = join(work, "examples.mts");
  writeFileSync(
    file,
    `import { writeFileSync } from "node:fs";\n${[...parts, ...text].join("\n")}\nexport { writeFileSync };\n`,
  );
  const strict = ["--strict", "--noUncheckedIndexedAccess", "--skipLibCheck", "--module", "NodeNext", "--noEmit"];
  const target = ["--target", "ES2022", "--types", "node", "--ignoreConfig", file];
  const tsc = spawnSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), ...strict, ...target], {
    cwd: work,
    encoding: "utf8",
  });
  t.equal(tsc.stdout, "", "no complaint from the compiler");
  t.end();
});
