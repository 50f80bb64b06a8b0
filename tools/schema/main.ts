/** `node dist/tools/schema/main.js`: writes `schema/*.json`, and the table of names into the chapter. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../corpus.js";
import { printed, rows, schemas } from "./make.js";

const root = projectRoot();
mkdirSync(join(root, "schema"), { recursive: true });
for (const [name, schema] of schemas()) writeFileSync(join(root, "schema", name), printed(schema));

const chapter = join(root, "spec", "87-json.md");
const text = readFileSync(chapter, "utf8");
const start = text.indexOf("| name | meaning | commands |");
writeFileSync(
  chapter,
  `${text.slice(0, start)}| name | meaning | commands |\n| --- | --- | --- |\n${rows().join("\n")}\n`,
);
