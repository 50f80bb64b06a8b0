/** Features that end in postcopy: recorded between two QEMUs, so the source's own destination is the first judge; the plain stream made of it has another. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openInput, openRecording } from "../../src/container/index.js";
import { convertToFile } from "../../src/convert/convert-file.js";
import { QevmError } from "../../src/errors.js";
import { type RecordingInspection, verifyRecording } from "../../src/inspect/recording.js";
import { blockHashes, compare } from "../destination/compare.js";
import { startDestination } from "../destination/destination.js";
import { type PostcopyRecipe, recordPostcopy } from "../postcopy/record.js";
import type { QemuBinary } from "../qemu/find.js";
import type { Feature } from "./feature.js";
import { descriptionLike } from "./lent.js";
import { attempted, differing, hashesOf, judge, type Once } from "./judge.js";

/** A feature as a recipe of the postcopy recordings has it. */
export interface PostcopyFeature extends Omit<PostcopyRecipe, "shows" | "qemu"> {
  /** Whether the recording holds what the row is about. */
  readonly holds: (found: RecordingInspection) => boolean;
}

/** Makes a row of a recipe. */
export function postcopy(feature: PostcopyFeature): Feature {
  const { name, capabilities } = feature;
  const needs = ["postcopy-ram", ...capabilities];
  return { name, needs, prove: async (qemu) => await attempted(async () => await prove(feature, qemu)) };
}

async function prove(feature: PostcopyFeature, qemu: QemuBinary): Promise<Once> {
  const { channels, truth } = await recordPostcopy(qemu, { ...feature, shows: feature.name, qemu: qemu.version });
  const files = Object.entries(feature.files).map(([name, bytes]) => ({ name, content: () => bytes }));
  const schema = [await descriptionLike({ args: feature.args, files, until: "guest" }, qemu)];
  const folder = mkdtempSync(join(tmpdir(), "qevm-matrix-"));
  try {
    const place = join(folder, "recording");
    mkdirSync(place);
    channels.forEach(({ bytes }, k) => {
      if (bytes.length > 0) writeFileSync(join(place, `channel-${k}`), bytes);
    });
    const verified = await verifyRecording(openRecording(place), { schema });
    if (!feature.holds(verified.inspection)) {
      throw new QevmError("bad-value", `the recording holds nothing of "${feature.name}"`);
    }
    const read = await hashesOf(await openInput(place));
    const stream = join(folder, "plain");
    await convertToFile(await openInput(place), stream, { flatten: true, schema });
    const { vm, result } = await startDestination({ qemu, args: feature.args, files: feature.files, stream });
    try {
      const found = result.loaded ? await compare(vm, truth) : undefined;
      // The guest that was recorded ran on in its destination: its registers are not those of the stream.
      const still = found === undefined ? undefined : { ...found, registersEqual: null };
      const held = result.loaded ? await blockHashes(vm) : new Map<string, string>();
      return judge({ ...verified, wrong: differing(truth, read, {}), read, held, found: still, error: result.error });
    } finally {
      await vm.close();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
