/** Holds every JSON document that the program prints against its schema. */
import { Validator } from "@cfworker/json-schema";
import { documentShape } from "../../tools/schema/documents.js";
import { schemas } from "../../tools/schema/make.js";

const made = schemas();
const validators = new Map<string, Validator>();

/** Documents longer than this are looked at by a few chapters anyway, and cost seconds. */
const LONGEST = 1 << 20;

/**
 * Checks what a command wrote: one document, or with `--jsonl` a line for each file. Throws where a document does not
 * fit its schema, so that the chapter fails.
 */
export function checkDocuments(args: readonly string[], stdout: string): void {
  const options = args.includes("--") ? args.slice(0, args.indexOf("--")) : args;
  const lines = options.includes("--jsonl") && options[0] !== "dump";
  if (!lines && !options.includes("--json")) return;
  if (stdout === "" || stdout.length > LONGEST) return;
  for (const text of lines ? stdout.trimEnd().split("\n") : [stdout]) checkDocument(text);
}

/** Checks one document against the schema that it names. Returns nothing; throws where it does not fit. */
export function checkDocument(text: string): void {
  const problems = problemsOf(JSON.parse(text));
  if (problems.length > 0) throw new Error(`a document does not fit its schema:\n${problems.slice(-8).join("\n")}`);
}

/** How a document does not fit the schema that it names. */
export function problemsOf(document: unknown): string[] {
  const { schema: name, result } = document as { schema?: string; result?: unknown };
  const file = `${name?.replace(/\/1$/u, "")}.json`;
  // A command without --json (report) prints no results, but that it has none.
  const other =
    result === null && name !== undefined ? documentShape(name.replace(/\/1$/u, ""), { type: "null" }) : undefined;
  const schema = made.get(file) ?? other;
  if (schema === undefined) return [`no schema ${file}`];
  const validator = validators.get(file) ?? new Validator(schema, "2020-12", true);
  validators.set(file, validator);
  const { valid, errors } = validator.validate(document);
  return valid ? [] : errors.map(({ instanceLocation, error }) => `${instanceLocation}: ${error}`);
}
