/** `node dist/tools/schema/main.js`: writes the table of names into the chapter. The build writes the schemas. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { projectRoot } from "../corpus.js";
import { rows } from "./make.js";

const chapter = join(projectRoot(), "spec", "87-json.md");
const text = readFileSync(chapter, "utf8");
const start = text.indexOf("| name | meaning | commands |");
writeFileSync(
  chapter,
  `${text.slice(0, start)}| name | meaning | commands |\n| --- | --- | --- |\n${rows().join("\n")}\n`,
);
