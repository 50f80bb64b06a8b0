import { rmSync } from "node:fs";
import { join } from "node:path";
import { runDecode, type DecodeRun } from "../../analyse/fuzz/run-decode.js";
import { attempt } from "../../io/transport/file.js";
import { createFolders, writeNewFile } from "../../io/transport/temporary.js";
import { parse } from "../arguments.js";
import { printResult } from "../document.js";
import { count, print, safe } from "../output.js";
import { caseChoice, placeOf, readWhole, shortTable } from "./common.js";

/** `qevm fuzz decode FILE...`: exit status 1 on any find. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("fuzz decode", argv, [1, Infinity], "a FILE");
  const inputs: Uint8Array[] = [];
  const how = placeOf(args);
  for (const file of args.positionals) inputs.push(await readWhole(file, args.flag("as-is"), how));
  const folder = args.text("out");
  if (folder !== undefined) createFolders(folder);
  const show = process.stderr.isTTY;
  const result = await runDecode(inputs, {
    ...caseChoice(args),
    seconds: args.number("seconds", { min: 1, max: 1e9 }),
    jobs: args.number("jobs", { min: 1, max: 64 }) ?? 1,
    onProgress: (cases, finds) => {
      if (show) process.stderr.write(`\r\x1b[K${count(cases)} cases, ${finds} finds`);
    },
    onFind: (find, bytes) => {
      if (folder === undefined) return;
      const path = join(folder, `find-${find.seed}-${find.find}.bin`);
      // Replaces a find of an earlier run; does not follow a link of that name.
      attempt(path, () => rmSync(path, { force: true }));
      writeNewFile(path, bytes);
    },
  });
  if (show) process.stderr.write("\r\x1b[K");
  if (args.flag("json")) printResult(result);
  else print(report(result, args.positionals));
  return result.finds.length === 0 ? 0 : 1;
}

function report(result: DecodeRun, files: readonly string[]): string[] {
  const { cases, seconds, perSecond, seed, finds } = result;
  const lines = [
    ...shortTable(result.outcomes),
    `${count(cases)} cases from seed ${seed} in ${seconds.toFixed(1)} s (${count(perSecond)} a second): ${finds.length === 0 ? "no" : finds.length} finds`,
  ];
  for (const find of finds) {
    lines.push(
      `  ${find.find}: --seed ${find.seed} --cases 1 of ${safe(files[find.input] ?? "")}: ${safe(find.did)}`,
      ...find.message
        .split("\n")
        .slice(0, 6)
        .map((line) => `    ${safe(line)}`),
    );
  }
  return lines;
}
