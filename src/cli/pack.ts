import { packFolder } from "../rewrite/pack/pack.js";
import { limitsOf, parse } from "./arguments.js";
import { outOf } from "./out.js";
import { printResult } from "./document.js";
import { fileSize, print, safe } from "./output.js";

/** `qevm pack DIR --out FILE`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("pack", argv, [1, 1], "one DIR");
  const out = outOf(args, args.positionals, { stdout: true });
  const report = await packFolder(args.positionals[0]!, out, limitsOf(args));
  if (args.flag("json")) printResult(report);
  else if (out !== "-") print([`${safe(out)}: ${fileSize(report.streamLength)}`]);
  return 0;
}
