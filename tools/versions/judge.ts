/** Common code of all rows: comparing, and describing the results. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { extractBlocks } from "../../src/guest/files/extract-blocks.js";
import type { ByteSource } from "../../src/bytes/index.js";
import type { Truth } from "../capture/truth.js";
import type { Comparison } from "../destination/compare.js";
import type { Proven } from "./feature.js";
import { sha256Of } from "../sha256.js";

/** One attempt. */
export interface Once {
  readonly proven: Proven;
  /** The destination holds what qevm reads, and both differ from the source. */
  readonly stale: boolean;
}

/** How often a capture is repeated when QEMU itself loads memory that differs from the source's. */
const attempts = 5;

/**
 * Proves a row. Up to 7.2 QEMU under TCG sometimes sends a stale page: the stream misses the source's last write to it.
 * If its own loader then holds, block by block, what qevm reads, the capture is repeated.
 */
export async function attempted(once: () => Promise<Once>): Promise<Proven> {
  for (let i = 1; ; i++) {
    const { proven, stale } = await once();
    if (!stale || i === attempts) return proven;
  }
}

/** The results of one attempt. */
export interface Findings {
  readonly identical: boolean;
  readonly complete: boolean;
  readonly opaqueBytes: number;
  /** Blocks that qevm reads differently from the source. */
  readonly wrong: readonly string[];
  /** SHA-256 of blocks as qevm reads them, and as the destination holds them. */
  readonly read: ReadonlyMap<string, string>;
  readonly held: ReadonlyMap<string, string>;
  /** The destination compared with the source; undefined: it did not load. */
  readonly found: Pick<Comparison, "differentBlocks" | "pmemsaveEqual" | "registersEqual"> | undefined;
  /** QEMU's error text. */
  readonly error: string;
  /** Other differences between source and destination. */
  readonly others?: readonly string[];
}

/** The results as text. */
export function judge(findings: Findings): Once {
  const { identical, complete, opaqueBytes, wrong, read, held, found, error, others = [] } = findings;
  const understood = opaqueBytes === 0 ? "identical" : `${opaqueBytes} bytes opaque`;
  const different = [
    ...(found?.differentBlocks ?? []),
    ...(found?.pmemsaveEqual === false ? ["pmemsave"] : []),
    ...(found?.registersEqual === false ? ["registers"] : []),
    ...others,
  ];
  const loads = different.length === 0 ? "loads" : `loads with other ${different.join(", ")}`;
  return {
    proven: {
      verify: identical && complete ? understood : "not identical",
      memory: wrong.length === 0 ? "equal" : `differs: ${wrong.join(", ")}`,
      loads: found === undefined ? `refused: ${error.split("\n")[0] ?? ""}` : loads,
    },
    stale: wrong.length > 0 && [...read].every(([name, sha256]) => held.get(name) === sha256),
  };
}

/** SHA-256 of every block whose pages are in the stream, as qevm extracts it. */
export async function hashesOf(source: ByteSource): Promise<Map<string, string>> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-matrix-"));
  try {
    const out = join(folder, "blocks");
    const { blocks } = await extractBlocks(source, out);
    const sent = blocks.filter(({ inStream }) => inStream);
    return new Map(sent.map(({ block: name, file }) => [name, sha256Of(readFileSync(join(out, file)))]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Names of blocks that differ from the source. Memory that the source shares through a file is not in the stream. */
export function differing(
  { blocks }: Pick<Truth, "blocks">,
  read: ReadonlyMap<string, string>,
  left: Readonly<Record<string, Uint8Array>>,
): string[] {
  const shared = new Set(Object.values(left).map(sha256Of));
  return blocks.flatMap(({ name, sha256 }) => {
    if (sha256 === null || read.get(name) === sha256 || (!read.has(name) && shared.has(sha256))) return [];
    return [name];
  });
}
