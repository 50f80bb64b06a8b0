/** Features whose destination is `qevm receive`: it replies to the source and keeps every channel. */
import { receiveInto } from "../../src/live/receive/index.js";
import { takeTruth } from "../capture/truth.js";
import type { QemuBinary } from "../qemu/find.js";
import type { Recipe } from "../recording/machines.js";
import { migrateTo, startSource } from "../recording/record.js";
import type { Feature } from "./feature.js";
import { judgeFolder, type RecordedFeature, withFolder } from "./folder.js";
import { attempted, type Once } from "./judge.js";

/** A feature as a recipe of the recordings. */
export type ReceivedFeature = Omit<Recipe, "shows" | "qemu"> & Pick<RecordedFeature, "holds">;

/** A row from a recipe. */
export function received(feature: ReceivedFeature): Feature {
  const { name, capabilities: needs } = feature;
  return { name, needs, prove: async (qemu) => await attempted(async () => await prove(feature, qemu)) };
}

/** The source reports "completed" only if it got its replies. */
async function prove(feature: ReceivedFeature, qemu: QemuBinary): Promise<Once> {
  return await withFolder(async (folder) => {
    const vm = await startSource(qemu, feature);
    try {
      let receiving: Promise<unknown> | undefined;
      const uri = await new Promise<string>((resolve, reject) => {
        receiving = receiveInto(folder, "tcp:127.0.0.1:0", { onListening: resolve });
        receiving.catch(reject);
      });
      await migrateTo(vm, uri, feature);
      await receiving;
      const truth = await takeTruth(vm, await vm.execute("query-status"));
      return await judgeFolder(folder, feature, { qemu, truth });
    } finally {
      await vm.close();
    }
  });
}
