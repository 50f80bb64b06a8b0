/** The schemas of the package and the table of names in the chapter, made of the shapes and meanings. */
import { documentShape, RESULTS } from "./documents.js";
import { MEANINGS } from "./names.js";
import type { Shape } from "./shape.js";

/** Every schema by the name of its file, `inspect.json`. */
export function schemas(): Map<string, Shape> {
  const made = new Map<string, Shape>();
  for (const [name, result] of Object.entries(RESULTS)) {
    made.set(`${name}.json`, {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      $id: `urn:qevm:schema:${name}:1`,
      title: `qevm ${name.replace("-", " ")} --json`,
      ...described(documentShape(name, result)),
    });
  }
  return made;
}

/** The file of a schema, as it is in the package. */
export function printed(schema: Shape): string {
  return `${JSON.stringify(schema)}\n`;
}

/** The commands that have each name, by the names. */
export function uses(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  for (const [name, result] of Object.entries(RESULTS)) {
    for (const member of namesIn(documentShape("x", { type: "null" }))) note(found, member, "all");
    for (const member of namesIn(result)) note(found, member, name.replace("-", " "));
  }
  return found;
}

/** The rows of the chapter's table, by name. */
export function rows(): string[] {
  return [...uses()]
    .toSorted(([a], [b]) => (a.toLowerCase() < b.toLowerCase() ? -1 : 1))
    .map(([name, commands]) => {
      const where = commands.has("all") ? "all" : [...commands].join(", ");
      return `| \`${name}\` | ${meaning(name)} | ${where} |`;
    });
}

function note(found: Map<string, Set<string>>, name: string, command: string): void {
  const known = found.get(name) ?? new Set();
  found.set(name, known.add(command));
}

function meaning(name: string): string {
  const text = Object.hasOwn(MEANINGS, name) ? MEANINGS[name] : undefined;
  if (text === undefined) throw new Error(`no meaning of ${name} in tools/schema/names.ts`);
  return text;
}

/** A shape with what each of its names means. */
function described(shape: unknown): Shape {
  const entries = Object.entries(shape as Shape).map(([keyword, value]): [string, unknown] => {
    if (keyword === "properties") {
      const members = Object.entries(value as Readonly<Record<string, Shape>>);
      return [
        keyword,
        Object.fromEntries(members.map(([name, own]) => [name, { description: meaning(name), ...described(own) }])),
      ];
    }
    if (keyword === "anyOf") return [keyword, (value as readonly Shape[]).map(described)];
    if ((keyword === "items" || keyword === "additionalProperties") && typeof value === "object")
      return [keyword, described(value)];
    return [keyword, value];
  });
  return Object.fromEntries(entries);
}

function* namesIn(shape: unknown): Generator<string> {
  for (const [keyword, value] of Object.entries(shape as Shape)) {
    if (keyword === "properties") {
      for (const [name, own] of Object.entries(value as Readonly<Record<string, Shape>>)) {
        yield name;
        yield* namesIn(own);
      }
    } else if (keyword === "anyOf") for (const one of value as readonly Shape[]) yield* namesIn(one);
    else if ((keyword === "items" || keyword === "additionalProperties") && typeof value === "object")
      yield* namesIn(value);
  }
}
