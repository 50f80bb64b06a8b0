/** Features that end in postcopy: recorded between two QEMUs, so the source's own destination checks them first. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type PostcopyRecipe, recordPostcopy } from "../postcopy/record.js";
import type { QemuBinary } from "../qemu/find.js";
import type { Feature } from "./feature.js";
import { judgeFolder, type RecordedFeature, withFolder } from "./folder.js";
import { attempted, type Once } from "./judge.js";
import { descriptionLike } from "./lent.js";

/** A feature as a recipe of the postcopy recordings. */
export type PostcopyFeature = Omit<PostcopyRecipe, "shows" | "qemu"> & Pick<RecordedFeature, "holds">;

/** A row from a recipe. */
export function postcopy(feature: PostcopyFeature): Feature {
  const { name, capabilities } = feature;
  const needs = ["postcopy-ram", ...capabilities];
  return { name, needs, prove: async (qemu) => await attempted(async () => await prove(feature, qemu)) };
}

async function prove(feature: PostcopyFeature, qemu: QemuBinary): Promise<Once> {
  const { channels, truth } = await recordPostcopy(qemu, { ...feature, shows: feature.name, qemu: qemu.version });
  const files = Object.entries(feature.files).map(([name, bytes]) => ({ name, content: () => bytes }));
  const schema = [await descriptionLike({ args: feature.args, files, until: "guest" }, qemu)];
  return await withFolder(async (folder) => {
    channels.forEach(({ bytes }, k) => {
      if (bytes.length > 0) writeFileSync(join(folder, `channel-${k}`), bytes);
    });
    return await judgeFolder(folder, feature, { qemu, truth, schema, ranOn: true });
  });
}
