/**
 * Writes a plain migration stream of any size to stdout while generating it:
 *
 *     node dist/tools/make-stream.js --ram 16G [--zero 0.97] [--run 192] | qevm inspect -
 *
 * The page counts go to stderr.
 */
import { writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { makePlainStream } from "./streams/plain.js";

const { values } = parseArgs({
  options: {
    ram: { type: "string", default: "64M" },
    zero: { type: "string", default: "0.3" },
    run: { type: "string", default: "192" },
  },
});

function size(text: string): number {
  const [, digits, unit] = /^(\d+)([KMGT]?)$/u.exec(text) ?? [];
  if (digits === undefined || unit === undefined) throw new Error(`not a size: ${text}`);
  return Number(digits) * 1024 ** " KMGT".indexOf(unit === "" ? " " : unit);
}

function writeAll(chunk: Uint8Array): void {
  for (let at = 0; at < chunk.length;) at += writeSync(1, chunk, at);
}

try {
  const counts = makePlainStream(
    { ram: size(values.ram), zero: Number(values.zero), run: Number(values.run) },
    writeAll,
  );
  console.error(`${counts.normal} normal, ${counts.zero} zero`);
} catch (error) {
  // The reader has closed the pipe: not an error.
  if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
  process.exitCode = 1;
}
