/**
 * Makes the catalogue that is shipped: `node dist/tools/catalogue/make.js [--anew] [--sweep DIR]`, from what is in
 * `spec/66-catalogue.held-out.br`, the streams that `tools/catalogue/sweep.ts` saved in DIR, and the corpus. What is
 * known before x86 captures of the corpus are learnt is kept in that file: by it the specification measures on those
 * captures. `--anew` forgets what it held.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { argv } from "node:process";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { join } from "node:path";
import { parseCatalogue, type CatalogueData } from "../../src/codec/vmstate/catalogue/index.js";
import { projectRoot } from "../corpus.js";
import { corpusSamples, learnFrom, sweepSamples } from "./streams.js";

const root = projectRoot();
const heldOut = join(root, "spec/66-catalogue.held-out.br");
const at = argv.indexOf("--sweep");
const isMeasured = ({ origin }: { origin: string }): boolean => origin.startsWith("x86_64 ");
const corpus = corpusSamples();
let data: CatalogueData | undefined;
if (!argv.includes("--anew")) data = parseCatalogue(brotliDecompressSync(readFileSync(heldOut)).toString("latin1"));
data = await learnFrom(
  [...(at < 0 ? [] : sweepSamples(argv[at + 1]!)), ...corpus.filter((one) => !isMeasured(one))],
  data,
);
write(heldOut, data);
data = await learnFrom(corpus.filter(isMeasured), data);
write(join(root, "src/io/catalogue/catalogue.br"), data);

function write(file: string, what: CatalogueData): void {
  const text = Buffer.from(JSON.stringify(what), "latin1");
  const packed = brotliCompressSync(text, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_LGWIN]: 24 },
  });
  writeFileSync(file, packed);
  const counts = `${Object.keys(what.devices).length} devices, ${what.layouts.length} layouts`;
  console.log(`${file}: ${counts} of ${what.origins.join(", ")}: ${text.length} bytes, packed ${packed.length}`);
}
