/**
 * `npm run capture [-- NAME...]`: makes the corpus again, or the named entries. Entries whose QEMU is not installed are
 * listed and left unchanged.
 */
import { join } from "node:path";
import { findQemu } from "../qemu/find.js";
import { listCorpus, projectRoot } from "../corpus.js";
import { makeCapture } from "./capture.js";
import { entries } from "./entries/index.js";
import { writeTable } from "./table.js";

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => entries.every((item) => item.name !== name));
if (unknown.length > 0) {
  console.error(`no such entry: ${unknown.join(", ")}; there are ${entries.map(({ name }) => name).join(", ")}`);
  process.exit(2);
}

let failed = 0;
for (const item of entries.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  if (findQemu(item.qemu, item.program) === undefined) {
    console.log(`${item.name}: skipped, no ${item.program} ${item.qemu} here (npm run test:versions installs it)`);
    continue;
  }
  const start = Date.now();
  try {
    const made = await makeCapture(item, join(projectRoot(), "corpus"));
    const { blocks, destination } = made.truth;
    const found = blocks.filter(({ sha256 }) => sha256 !== null).length;
    const load =
      destination?.loaded === true
        ? `loads, ${destination.equalBlocks.length} blocks equal, ${destination.differentBlocks.length} differ, registers ${destination.registersEqual === true ? "equal" : "not equal"}`
        : `does not load (${destination?.signal ?? destination?.error ?? "not tried"})`;
    const size = `${made.stream.length} bytes, ${made.packedBytes} packed`;
    console.log(`${item.name}: ${size}; truth of ${found}/${blocks.length} blocks; ${load}; ${Date.now() - start} ms`);
  } catch (error) {
    failed += 1;
    console.error(`${item.name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
writeTable(join(projectRoot(), "corpus", "README.md"), listCorpus());
process.exit(failed === 0 ? 0 : 1);
