import { reportStream, type ReportOptions, type StreamReport } from "../analyse/report/index.js";
import { openOutput } from "../io/transport/output.js";
import { parse, streamOffset, streamOptions } from "./arguments.js";
import { outOf } from "./out.js";
import { fileSize, print, safe, tell, withProgress } from "./output.js";
import { version } from "./version.js";

/** `qevm report FILE --out report.html`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("report", argv, [1, 1], "one FILE");
  const [file] = args.positionals as [string];
  const out = outOf(args, [file], { stdout: true, text: true });
  const { lenient: _, ...stream } = await streamOptions(args);
  const title = args.text("title");
  const options = {
    ...stream,
    ...(title === undefined ? {} : { title }),
    snapshot: args.text("snapshot"),
    offset: streamOffset(args),
    verify: !args.flag("no-verify"),
    program: `qevm ${version()}`,
    progress: withProgress,
  };
  const report = await write(file, out, options);
  const [damage] = report.damage;
  const name = file === "-" ? "standard input" : file;
  if (damage !== undefined) tell(`${name}: damaged: ${damage.message}`);
  else if (report.identical === false) tell(`${name}: not the same bytes when encoded again`);
  return damage !== undefined || report.identical === false ? 1 : 0;
}

/** Written atomically. An output that cannot be written is reported before anything is read. */
async function write(file: string, out: string, options: ReportOptions): Promise<StreamReport> {
  const page = openOutput(out);
  try {
    const report = await reportStream(file, options);
    const bytes = Buffer.from(report.html);
    await page.write(bytes);
    page.commit();
    if (out !== "-") print([`${safe(out)}: ${fileSize(bytes.length)}`]);
    return report;
  } finally {
    page.abort();
  }
}
