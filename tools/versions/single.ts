/** Features whose stream is one file: captured, verified, extracted, re-encoded, loaded. */
import { QevmError } from "../../src/bytes/errors.js";
import type { Inspection } from "../../src/analyse/inspect/inspect.js";
import { verifyStream } from "../../src/analyse/inspect/verify.js";
import { MemorySource } from "../../src/bytes/index.js";
import { takeCapture } from "../capture/capture.js";
import { entry, type Recipe } from "../capture/entry.js";
import { checkLoad } from "../destination/check.js";
import { blockHashes } from "../destination/compare.js";
import type { QemuBinary } from "../qemu/find.js";
import type { QemuProcess } from "../qemu/process.js";
import type { Feature } from "./feature.js";
import { attempted, differing, hashesOf, judge, type Once } from "./judge.js";
import { descriptionLike } from "./lent.js";
import { reencode } from "./reencode.js";

/** A feature as a recipe of the corpus, without the parts common to all. */
export interface SingleFeature extends Partial<Omit<Recipe, "shows" | "qemu">> {
  readonly name: string;
  readonly args: readonly string[];
  readonly without?: (version: string) => string | undefined;
  /** How the stream is passed to the destination; default: a pipe. */
  readonly from?: "exec" | "file";
  /** Arguments of a machine whose capture provides the description, where the stream has none. */
  readonly lent?: readonly string[];
  /** Whether the stream contains the feature. */
  readonly holds: (found: Inspection) => boolean;
  /** Files of the destination, if different from those that the source left. */
  readonly fresh?: (left: Readonly<Record<string, Uint8Array>>) => Readonly<Record<string, Uint8Array>>;
  /** State besides memory and registers that must be the same in source and destination. */
  readonly state?: (vm: QemuProcess) => Promise<string> | string;
}

/** A row from a recipe. */
export function single(feature: SingleFeature): Feature {
  const { name, capabilities = [], without } = feature;
  return {
    name,
    needs: capabilities,
    ...(without === undefined ? {} : { without }),
    prove: async (qemu) => await attempted(() => prove(feature, qemu)),
  };
}

async function prove(feature: SingleFeature, qemu: QemuBinary): Promise<Once> {
  const recipe = entry({ ...feature, shows: feature.name, qemu: qemu.version });
  let before = "";
  const { stream, truth, left } = await takeCapture(recipe, async (vm) => {
    before = (await feature.state?.(vm)) ?? "";
  });
  const options =
    feature.lent === undefined ? {} : { schema: [await descriptionLike({ ...feature, args: feature.lent }, qemu)] };
  const verified = await verifyStream(new MemorySource(stream), options);
  if (!feature.holds(verified.inspection)) {
    throw new QevmError("bad-value", `the stream holds nothing of "${feature.name}"`);
  }
  const read = await hashesOf(new MemorySource(stream));
  const { bytes } = await reencode(stream, options);
  let after = before;
  let held = new Map<string, string>();
  const load = await checkLoad(qemu, recipe, bytes, truth, feature.fresh?.(left) ?? left, {
    from: feature.from ?? "exec",
    look: async (vm) => {
      after = (await feature.state?.(vm)) ?? "";
      held = await blockHashes(vm);
    },
  });
  return judge({
    ...verified,
    wrong: differing(truth, read, left),
    read,
    held,
    found: load.loaded ? load : undefined,
    error: load.error,
    others: after === before ? [] : ["state"],
  });
}
