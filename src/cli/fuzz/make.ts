import { join } from "node:path";
import { unbundle, type BundledFile } from "../../analyse/fuzz/bundle.js";
import { kindsNamed, makeCase, type FuzzCase } from "../../analyse/fuzz/cases.js";
import { takeApart } from "../../analyse/fuzz/parts.js";
import { AtomicFolder } from "../../io/transport/folder.js";
import { createFolder, writeNewFile } from "../../io/transport/temporary.js";
import { Turns } from "../../io/transport/turns.js";
import { WritableSink } from "../../io/transport/writable.js";
import { parse } from "../arguments.js";
import { outOf } from "../out.js";
import { print, safe } from "../output.js";
import { caseChoice, placeOf, readWhole } from "./common.js";

/** `qevm fuzz make FILE --out DIR|-`: writes cases for any program. */
export async function run(argv: string[]): Promise<number> {
  const args = parse("fuzz make", argv, [1, 1], "one FILE");
  const out = outOf(args, args.positionals, { what: "a folder, or - for standard output", stdout: true });
  const { seed, cases = 100, kinds, repair } = caseChoice(args);
  const options = { kinds: kinds === undefined ? undefined : kindsNamed(kinds), repair };
  const base = await takeApart(await readWhole(args.positionals[0]!, args.flag("as-is"), placeOf(args)));
  const all = function* (): Generator<FuzzCase> {
    for (let i = 0; i < cases; i++) yield makeCase(base, seed + i, options);
  };
  if (out === "-") await toPipe(all());
  else await toFolder(all(), out);
  return 0;
}

/** For each case, a line of JSON with the number of bytes, then the bytes. */
async function toPipe(cases: Iterable<FuzzCase>): Promise<void> {
  const sink = new WritableSink(process.stdout, "standard output");
  for (const test of cases) {
    await sink.write(Buffer.from(`${JSON.stringify({ ...test, bytes: test.bytes.length })}\n`));
    await sink.write(test.bytes);
  }
}

/** The names are plain: they are those of input files in one folder. */
function writeRecording(folder: string, files: readonly BundledFile[]): void {
  createFolder(folder);
  for (const { name, bytes } of files) writeNewFile(join(folder, name), bytes);
}

/** One file per case (one folder for a recording), and `cases.jsonl` with one line per case. */
async function toFolder(cases: Iterable<FuzzCase>, path: string): Promise<void> {
  const folder = new AtomicFolder(path);
  const turns = new Turns();
  try {
    const lines: string[] = [];
    for (const test of cases) {
      const files = unbundle(test.bytes);
      const file = `case-${test.seed}${files === undefined ? ".mig" : ""}`;
      if (files === undefined) writeNewFile(join(folder.temporary, file), test.bytes);
      else writeRecording(join(folder.temporary, file), files);
      await turns.due();
      lines.push(JSON.stringify({ file, ...test, bytes: test.bytes.length }));
    }
    writeNewFile(join(folder.temporary, "cases.jsonl"), `${lines.join("\n")}\n`);
    folder.commit();
    print([`${safe(path)}: ${lines.length} cases, and a line for each in cases.jsonl`]);
  } finally {
    folder.abort();
  }
}
