import { reportStream } from "../report/index.js";
import { AtomicFile } from "../transport/file.js";
import { WritableSink } from "../transport/writable.js";
import { DECODE_OPTIONS, parse, streamOptions, UsageError } from "./arguments.js";
import { fileSize, print, safe, tell, withProgress } from "./output.js";
import { version } from "./version.js";

/** `qevm report FILE --out report.html`. */
export async function run(argv: string[]): Promise<number> {
  const options = {
    ...DECODE_OPTIONS,
    out: { type: "string" },
    title: { type: "string" },
    "no-verify": { type: "boolean" },
  } as const;
  const args = parse(argv, options, [1, 1], "one FILE");
  const [file] = args.positionals as [string];
  const out = args.text("out");
  if (out === undefined) throw new UsageError("--out is missing");
  if (args.flag("json")) throw new UsageError("a report is a page: inspect, devices and verify have --json");
  if (args.flag("lenient")) throw new UsageError("report reads on behind damage by itself: it takes no --lenient");
  const { lenient: _, ...stream } = await streamOptions(args);
  const title = args.text("title");
  const report = await reportStream(file, {
    ...stream,
    ...(title === undefined ? {} : { title }),
    snapshot: args.text("snapshot"),
    verify: !args.flag("no-verify"),
    program: `qevm ${version()}`,
    progress: withProgress,
  });
  const bytes = Buffer.from(report.html);
  await write(out, bytes);
  if (out !== "-") print([`${safe(out)}: ${fileSize(bytes.length)}`]);
  const [damage] = report.damage;
  const name = file === "-" ? "standard input" : file;
  if (damage !== undefined) tell(`${name}: damaged: ${damage.message}`);
  else if (report.identical === false) tell(`${name}: not the same bytes when encoded again`);
  return damage !== undefined || report.identical === false ? 1 : 0;
}

/** Whole or not at all. */
async function write(out: string, bytes: Uint8Array): Promise<void> {
  if (out === "-") {
    await new WritableSink(process.stdout, "standard output").write(bytes);
    return;
  }
  const file = new AtomicFile(out);
  try {
    await file.write(bytes);
    file.commit();
  } finally {
    file.abort();
  }
}
