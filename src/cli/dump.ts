import { Diagnostics, QevmError } from "../bytes/errors.js";
import { readFully } from "../bytes/source.js";
import { dumpAt, dumpUnits, type DumpSource } from "../analyse/dump/dump.js";
import type { DumpUnit } from "../analyse/dump/types.js";
import { byteLines, fieldText, place } from "../analyse/text/dump.js";
import { readableAgain } from "../io/transport/spool.js";
import { WritableSink } from "../io/transport/writable.js";
import { openFile, printResult } from "./document.js";
import { inputOptions, parse, streamOptions, UsageError, type Arguments } from "./arguments.js";
import { HexLines } from "../bytes/hex-lines.js";
import { print, printWarnings, safe, withProgress } from "./output.js";

/** Bytes that are shown around a byte. */
const SHOWN = 64;

/** `qevm dump FILE [--at BYTE] [--records] [--section NAME]`. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("dump", argv, [1, 1], "one FILE");
  const at = args.size("at", { min: 0, max: Number.MAX_SAFE_INTEGER });
  const section = args.text("section");
  if (at !== undefined && (args.flag("records") || section !== undefined || args.flag("jsonl")))
    throw new UsageError("--at goes with none of --records, --section and --jsonl");
  if (at === undefined && args.flag("json")) throw new UsageError("--json goes with --at; the lists have --jsonl");
  const input = await openFile(args.positionals[0]!, inputOptions(args));
  const source = withProgress(input, "reading");
  const again = readableAgain(source);
  const dumped: DumpSource = {
    source: again.source,
    rewind: () => again.rewind(),
    whole: async () => {
      if (source.length !== undefined) return source.length;
      const into = new Uint8Array(1 << 20);
      let length = 0;
      again.rewind();
      for (let n = 1; n > 0; length += n) n = await again.source.read(into);
      return length;
    },
  };
  const diagnostics = new Diagnostics({ lenient: true });
  try {
    const reading = await streamOptions(args);
    return at === undefined
      ? await printList(args, dumped, diagnostics, { ...reading, section })
      : await printByte(args, dumped, diagnostics, { at, reading });
  } finally {
    source.done();
    printWarnings(diagnostics.warnings);
    again.close();
    await source.close?.();
  }
}

type Reading = Awaited<ReturnType<typeof streamOptions>>;

async function printByte(
  args: Arguments,
  input: DumpSource,
  diagnostics: Diagnostics,
  { at, reading }: { at: number; reading: Reading },
): Promise<number> {
  const { unit, field } = await dumpAt(input, at, diagnostics, reading);
  const start = Math.max(field.streamOffset, at - (at % 16) - 16);
  const bytes = new Uint8Array(Math.min(SHOWN, field.streamOffset + field.length - start));
  const n = await readFully(input.source, start - (input.source.offset ?? 0), bytes);
  const shown = bytes.subarray(0, n);
  const status = unit.reason === undefined ? 0 : 1;
  if (args.flag("json")) {
    const context = { streamOffset: start, hex: Buffer.from(shown).toString("hex") };
    printResult({ at, ...plainUnit(unit), fields: [field], context }, diagnostics);
    return status;
  }
  const lines = new HexLines(start);
  const text = `${lines.add(shown)}${lines.end()}`.trimEnd().split("\n");
  print([...byteLines(at, unit, field), ...text.map((line) => `    ${line}`)]);
  return status;
}

function plainUnit({ part, section, unit, streamOffset, length, record, reason }: DumpUnit): object {
  const shown = record && { ...record, block: record.block ?? null, blockOffset: record.blockOffset ?? null };
  return { part, section: section ?? null, unit, streamOffset, length, record: shown ?? null, reason: reason ?? null };
}

/** The parts of the stream, its RAM records, or the fields of a section: a line each. */
async function printList(
  args: Arguments,
  input: DumpSource,
  diagnostics: Diagnostics,
  options: Reading & { section: string | undefined },
): Promise<number> {
  const sink = new WritableSink(process.stdout, "standard output");
  const [records, jsonl] = [args.flag("records"), args.flag("jsonl")];
  let status = 0;
  let found = false;
  let isEmpty = true;
  for await (const unit of dumpUnits(input, diagnostics, options)) {
    isEmpty = false;
    if (unit.reason !== undefined) status = 1;
    found ||= unit.section !== undefined && unit.section === options.section;
    // Without --records the records of a section are not listed, damage always is.
    const isRecord = unit.record !== undefined;
    if (records ? !isRecord && unit.reason === undefined : isRecord && options.section === undefined) continue;
    if (options.section !== undefined && unit.section !== options.section && unit.reason === undefined) continue;
    const fields = options.section === undefined || records ? [] : unit.fields();
    const lines = jsonl
      ? [JSON.stringify(options.section === undefined || records ? plainUnit(unit) : { ...plainUnit(unit), fields })]
      : [
          `${place(unit)}: ${safe(unit.part)}${unit.part === unit.unit ? "" : `: ${safe(unit.unit)}`}`,
          ...fields.map((one) => `  ${place(one)}: ${fieldText(one)}`),
        ];
    await sink.write(Buffer.from(`${lines.join("\n")}\n`));
  }
  if (isEmpty) throw new QevmError("truncated", "the input is empty", { offset: 0 });
  if (options.section !== undefined && !found) throw new UsageError(`no section ${JSON.stringify(options.section)}`);
  return diagnostics.passedOver > 0 ? 1 : status;
}
