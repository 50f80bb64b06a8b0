import { packFolder } from "../pack/pack.js";
import { parse, UsageError } from "./arguments.js";
import { fileSize, print, printJson, safe } from "./output.js";

/** `qevm pack DIR --out FILE`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse(argv, { json: { type: "boolean" }, out: { type: "string" } }, [1, 1], "one DIR");
  const out = args.text("out");
  if (out === undefined) throw new UsageError("--out is missing");
  const report = await packFolder(args.positionals[0]!, out);
  if (args.flag("json")) printJson(report);
  else print([`${safe(out)}: ${fileSize(report.bytes)}`]);
  return 0;
}
