/**
 * Measures the catalogue on streams whose VMDESCRIPTION is cut off, against the values that their own description
 * gives: `node dist/tools/catalogue/measure.js [--catalogue FILE | --learn RE] [--sweep DIR] [--match RE] [--list]`.
 * With `--learn`, samples whose name matches are learnt, and the others are measured: nothing is measured on what it
 * was learnt from.
 */
import { readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import { brotliDecompressSync } from "node:zlib";
import { Catalogue, parseCatalogue } from "../../src/codec/vmstate/catalogue/index.js";
import { corpusSamples, learnFrom, sweepSamples } from "./streams.js";
import { measureSample, noTally, showTally } from "./tally.js";

const line = argv.slice(2);
const option = (name: string): string | undefined => {
  const at = line.indexOf(name);
  return at < 0 ? undefined : line.splice(at, 2)[1];
};
const list = line.includes("--list");
const [file, learn, sweep] = [option("--catalogue"), option("--learn"), option("--sweep")];
const match = new RegExp(option("--match") ?? "", "u");
const samples = [...corpusSamples(), ...(sweep === undefined ? [] : sweepSamples(sweep))];
const isLearnt = new RegExp(learn ?? "^$", "u");
const data =
  file === undefined
    ? await learnFrom(samples.filter(({ name }) => isLearnt.test(name)))
    : parseCatalogue(brotliDecompressSync(readFileSync(file)).toString("latin1"));
const catalogue = new Catalogue(data);
console.log(`${catalogue.size} devices, ${data.layouts.length} layouts, of ${data.origins.join(", ")}`);
const tally = noTally();
for (const sample of samples.filter(({ name }) => match.test(name) && (learn === undefined || !isLearnt.test(name)))) {
  await measureSample(sample, catalogue, tally, list ? console.log : undefined);
}
showTally(tally).forEach((text) => console.log(text));
exit(tally.wrong.devices === 0 ? 0 : 1);
