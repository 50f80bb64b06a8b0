/**
 * Writes spec/06-engine.vectors.json: C zlib's output for known pages at every level. Run it only where python3 has the
 * zlib that QEMU is linked with (1.2.13 in Debian 12): `node dist/tools/engine/make-vectors.js`.
 */
import { writeFileSync } from "node:fs";
import { makePage, PAGE_MAKERS } from "./pages.js";
import { pythonCompress, pythonZlibVersion } from "./python-zlib.js";
import { sha256Of } from "../sha256.js";

const sha = (bytes: Uint8Array): string => sha256Of(bytes).slice(0, 32);
const SEEDS = 3;

const pages: { kind: string; seed: number; page: string; levels: string[] }[] = [];
const plain: Uint8Array[] = [];
for (const kind of Object.keys(PAGE_MAKERS)) {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const page = makePage(kind, seed);
    plain.push(page);
    pages.push({ kind, seed, page: sha(page), levels: [] });
  }
}
const all = Buffer.concat(plain);
for (let level = 0; level <= 9; level++) {
  pythonCompress(all, 4096, level).forEach((payload, i) => {
    pages[i]!.levels.push(`${payload.length} ${sha(payload)}`);
  });
}
const whole = pythonCompress(new Uint8Array(4096), 4096, 1)[0]!;
writeFileSync(
  new URL("../../../spec/06-engine.vectors.json", import.meta.url),
  `${JSON.stringify(
    {
      madeBy: `zlib ${pythonZlibVersion()} (C) through Python: zlib.compress(page, level)`,
      hash: "first 32 hex digits of SHA-256; levels: index 0 to 9, bytes of the payload and its hash",
      zeroPageLevel1: Buffer.from(whole).toString("hex"),
      pages,
    },
    null,
    1,
  )}\n`,
);
