import { QevmError } from "../../../bytes/errors.js";
import { chooseSnapshot, openVmState, readQcow2 } from "./image.js";
import { snapshotDate, vmStateSize } from "./snapshots.js";
import { type ByteSource, isRandom } from "../../../bytes/source.js";
import type { Container, InputOptions, Step } from "../types.js";

/** Opens the VM state of one snapshot of a qcow2 image. */
export async function openQcow2(source: ByteSource, options: InputOptions): Promise<Step> {
  if (!isRandom(source)) {
    throw new QevmError(
      "unsupported",
      "a qcow2 image can be read from a file only, not from a pipe or inside a compressed file",
      { offset: 0 },
    );
  }
  const image = await readQcow2(source, options.stream?.limits?.snapshotBytes);
  const chosen = chooseSnapshot(image, options.snapshot);
  const snapshots = image.snapshots.map((snapshot) => ({
    id: snapshot.id,
    name: snapshot.name,
    date: snapshotDate(snapshot),
    vmStateSize: Number(vmStateSize(snapshot)),
  }));
  const { version, clusterBits } = image.header;
  const container: Container = {
    kind: "qcow2",
    version,
    clusterSize: 2 ** clusterBits,
    snapshot: chosen.name,
    snapshots,
  };
  return { container, source: await openVmState(source, image, chosen), last: true };
}
