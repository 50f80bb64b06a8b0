import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { projectRoot } from "../../tools/corpus.js";

/** What QEMU 11.1 saves of a machine without devices before its first instruction (`tools/adapt/patterns.ts`). */
export function patternOf(board: "pc" | "q35"): Buffer {
  return gunzipSync(readFileSync(join(projectRoot(), `spec/support/pattern-${board}-11.1.gz`)));
}
