/** Features whose stream is one file: captured, verified, extracted, written again, loaded. */
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { QevmError } from "../../src/errors.js";
import type { Inspection } from "../../src/inspect/inspect.js";
import { verifyStream } from "../../src/inspect/verify.js";
import { extractBlocks } from "../../src/memory/extract-blocks.js";
import { MemorySource } from "../../src/qemu-file/index.js";
import { takeCapture } from "../capture/capture.js";
import { entry, type Recipe } from "../capture/entry.js";
import type { Truth } from "../capture/truth.js";
import { checkLoad } from "../destination/check.js";
import { blockHashes } from "../destination/compare.js";
import type { QemuBinary } from "../qemu/find.js";
import type { QemuProcess } from "../qemu/process.js";
import type { Feature, Proven } from "./feature.js";
import { reencode } from "./reencode.js";

/** A feature as a recipe of the corpus has it, without what every such recipe says alike. */
export interface SingleFeature extends Partial<Omit<Recipe, "shows" | "qemu">> {
  readonly name: string;
  readonly args: readonly string[];
  readonly without?: (version: string) => string | undefined;
  /** How the stream is handed to the destination; default a pipe. */
  readonly from?: "exec" | "file";
  /** Whether the stream holds what the row is about. */
  readonly holds: (found: Inspection) => boolean;
  /** Files of the destination, where they are not those that the source left. */
  readonly fresh?: (left: Readonly<Record<string, Uint8Array>>) => Readonly<Record<string, Uint8Array>>;
  /** State beyond memory and registers that must be the same in source and destination. */
  readonly state?: (vm: QemuProcess) => Promise<string> | string;
}

/** Makes a row of a recipe. */
export function single(feature: SingleFeature): Feature {
  const { name, capabilities = [], without } = feature;
  return {
    name,
    needs: capabilities,
    ...(without === undefined ? {} : { without }),
    prove: async (qemu) => await prove(feature, qemu),
  };
}

/** How often a capture is made again that QEMU itself loads with other memory than its source held. */
const attempts = 5;

/**
 * Proves a row. QEMU 5.2 under TCG now and then sends a stale page with `compress`: the source's last write to it is missing from
 * the stream. Where its own loader then holds, block by block, what qevm reads, the capture is made again.
 */
async function prove(feature: SingleFeature, qemu: QemuBinary): Promise<Proven> {
  for (let i = 1; ; i++) {
    const { stale, ...proven } = await proveOnce(feature, qemu);
    if (!stale || i === attempts) return proven;
  }
}

async function proveOnce(feature: SingleFeature, qemu: QemuBinary): Promise<Proven & { readonly stale: boolean }> {
  const recipe = entry({ ...feature, shows: feature.name, qemu: qemu.version });
  let before = "";
  const { stream, truth, left } = await takeCapture(recipe, async (vm) => {
    before = (await feature.state?.(vm)) ?? "";
  });
  const { identical, complete, opaqueBytes, inspection } = await verifyStream(new MemorySource(stream));
  if (!feature.holds(inspection)) throw new QevmError("bad-value", `the stream holds nothing of "${feature.name}"`);
  const read = await extractedHashes(stream);
  const { bytes } = await reencode(stream);
  let after = before;
  let held = new Map<string, string>();
  const load = await checkLoad(qemu, recipe, bytes, truth, feature.fresh?.(left) ?? left, {
    from: feature.from ?? "exec",
    look: async (vm) => {
      after = (await feature.state?.(vm)) ?? "";
      held = await blockHashes(vm);
    },
  });
  const different = [
    ...load.differentBlocks,
    ...(load.pmemsaveEqual === false ? ["pmemsave"] : []),
    ...(load.registersEqual === false ? ["registers"] : []),
    ...(after === before ? [] : ["state"]),
  ];
  const understood = opaqueBytes === 0 ? "identical" : `${opaqueBytes} bytes opaque`;
  const loaded = different.length === 0 ? "loads" : `loads with other ${different.join(", ")}`;
  const wrong = differing(truth, read, left);
  return {
    verify: identical && complete ? understood : "not identical",
    memory: wrong.length === 0 ? "equal" : `differs: ${wrong.join(", ")}`,
    loads: load.loaded ? loaded : `refused: ${load.error.split("\n")[0] ?? load.status}`,
    stale: wrong.length > 0 && [...read].every(([name, sha256]) => held.get(name) === sha256),
  };
}

const hash = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** SHA-256 of every block whose pages are in the stream, as qevm extracts it. */
async function extractedHashes(stream: Uint8Array): Promise<Map<string, string>> {
  const folder = mkdtempSync(join(tmpdir(), "qevm-matrix-"));
  try {
    const out = join(folder, "blocks");
    const { blocks } = await extractBlocks(new MemorySource(stream), out);
    const sent = blocks.filter(({ inStream }) => inStream);
    return new Map(sent.map(({ name, file }) => [name, hash(readFileSync(join(out, file)))]));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Names of blocks that are not what the source held; memory that the source shares by a file is not in the stream. */
function differing(
  truth: Truth,
  read: ReadonlyMap<string, string>,
  left: Readonly<Record<string, Uint8Array>>,
): string[] {
  const shared = new Set(Object.values(left).map(hash));
  return truth.blocks.flatMap(({ name, sha256 }) => {
    if (sha256 === null || read.get(name) === sha256 || (!read.has(name) && shared.has(sha256))) return [];
    return [name];
  });
}
