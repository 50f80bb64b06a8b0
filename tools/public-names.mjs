// The public surface: every name that an entry of the package exports has documentation, and is listed in
// spec/public-names.txt, so that a name that comes or goes is a decision. The functions and classes of `qevm` have an
// example, too, and every type that a public name is made of is public itself.
//
//   node tools/public-names.mjs [--write]     (--write: the list is written again)
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SyntaxKind } from "typescript/unstable/ast";
import { API, SymbolFlags } from "typescript/unstable/sync";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

/** The entries of package.json; of the first one, functions and classes have examples. */
export const ENTRIES = [
  ["qevm", "src/index.ts"],
  ["qevm/codec", "src/codec.ts"],
  ["qevm/node", "src/node.ts"],
];

/**
 * What is exported: `{ entry, name, kind, example }` each, and what is wrong with it, a line each.
 * @param project tsconfig.json of the sources
 * @param entries pairs of an entry's name and its absolute path
 */
export function publicNames(project, entries, { examples = entries[0][0] } = {}) {
  const api = new API({ cwd: ROOT });
  try {
    const [opened] = api.updateSnapshot({ openProjects: [project] }).getProjects();
    const { checker, program } = opened;
    const problems = [];
    const names = [];
    const known = new Map();
    for (const [entry, file] of entries) {
      const source = program.getSourceFile(file);
      if (source === undefined) throw new Error(`${file} is not part of ${project}`);
      const module = checker.getSymbolAtLocation(source);
      for (const symbol of module === undefined ? [] : checker.getExportsOfModule(module)) {
        const target = (symbol.flags & SymbolFlags.Alias) === 0 ? symbol : checker.getAliasedSymbol(symbol);
        const kind = kindOf(target);
        const example = checker.getJsDocTagsOfSymbol(target).find((tag) => tag.name === "example")?.text;
        names.push({ entry, name: symbol.name, kind, example });
        if (checker.getDocumentationCommentOfSymbol(target).trim() === "") {
          problems.push(`${entry}: ${symbol.name} has no documentation`);
        }
        if (entry === examples && (kind === "function" || kind === "class") && example === undefined) {
          problems.push(`${entry}: ${symbol.name} has no example`);
        }
        known.set(target.id, target);
      }
    }
    for (const target of known.values()) {
      for (const type of typesOf(target, opened)) {
        if (!known.has(type.id)) problems.push(`${type.name}, which ${target.name} is made of, is not public`);
      }
    }
    return { names, problems: [...new Set(problems)] };
  } finally {
    api.close();
  }
}

function kindOf({ flags }) {
  if ((flags & SymbolFlags.Class) !== 0) return "class";
  if ((flags & SymbolFlags.Function) !== 0) return "function";
  return (flags & SymbolFlags.Variable) !== 0 ? "value" : "type";
}

/** The types of the project that a declaration names, without what is private, internal, or inside of functions. */
function typesOf(symbol, project) {
  const { checker } = project;
  const found = new Map();
  const visit = (node) => {
    if (node.kind === SyntaxKind.Block || isHidden(node)) return;
    const named = node.typeName ?? (node.kind === SyntaxKind.ExpressionWithTypeArguments ? node.expression : undefined);
    const at = named === undefined ? undefined : checker.getSymbolAtLocation(named);
    if (at !== undefined) {
      const type = (at.flags & SymbolFlags.Alias) === 0 ? at : checker.getAliasedSymbol(at);
      const path = type.declarations[0]?.path ?? "";
      const ours = path.toLowerCase().startsWith(ROOT.toLowerCase()) && !path.includes("node_modules");
      if (ours && (type.flags & SymbolFlags.TypeParameter) === 0) found.set(type.id, type);
    }
    node.forEachChild(visit);
  };
  for (const handle of symbol.declarations) {
    const declaration = handle.resolve(project);
    if (declaration === undefined) continue;
    // Of a value its type is public, not what it is made of.
    if (declaration.kind === SyntaxKind.VariableDeclaration) {
      if (declaration.type !== undefined) visit(declaration.type);
    } else {
      visit(declaration);
    }
  }
  return found.values();
}

function isHidden(node) {
  if (node.modifiers?.some(({ kind }) => kind === SyntaxKind.PrivateKeyword)) return true;
  if (node.name?.kind === SyntaxKind.PrivateIdentifier) return true;
  return (node.jsDoc ?? []).some((doc) => /@internal/u.test(doc.getText()));
}

/** The text of spec/public-names.txt: a line a name, by entry. */
export function listOf(names) {
  const lines = ENTRIES.map(([entry]) => {
    const own = names.filter((one) => one.entry === entry);
    const rows = own.map(({ name, kind }) => `${kind.padEnd(8)} ${name}\n`).toSorted();
    return `${entry}: ${own.length} names\n\n${rows.join("")}`;
  });
  return `Public names, held against the code by tools/public-names.mjs (--write writes this list).\n\n${lines.join("\n")}`;
}

/** What is wrong with the public surface, a line each. */
export function checkPublicNames({ write = false } = {}) {
  const entries = ENTRIES.map(([entry, file]) => [entry, ROOT + file]);
  const { names, problems } = publicNames(`${ROOT}tsconfig.json`, entries);
  const file = `${ROOT}spec/public-names.txt`;
  const list = listOf(names);
  if (write) writeFileSync(file, list);
  const before = lineSet(readFileSync(file, "utf8"));
  const now = lineSet(list);
  for (const line of now) if (!before.has(line)) problems.push(`not in spec/public-names.txt: ${line}`);
  for (const line of before) if (!now.has(line)) problems.push(`only in spec/public-names.txt: ${line}`);
  return problems;
}

/** The lines of the list, each with its entry. */
function lineSet(text) {
  let entry = "";
  const lines = new Set();
  for (const line of text.split("\n")) {
    if (/^qevm\S*: \d+ names$/u.test(line)) entry = line;
    else if (entry !== "" && line !== "") lines.add(`${entry.split(":")[0]}: ${line.replace(/ +/u, " ")}`);
  }
  return lines;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const problems = checkPublicNames({ write: process.argv.includes("--write") });
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
