/** The description of a machine, for streams of the same machine without one. */
import { MemorySource } from "../../src/bytes/index.js";
import { descriptionOf } from "../../src/codec/stream/index.js";
import type { VmDescription } from "../../src/codec/vmstate/index.js";
import { takeCapture } from "../capture/capture.js";
import { entry, type Recipe } from "../capture/entry.js";
import type { QemuBinary } from "../qemu/find.js";

/** Captures a plain stream of such a machine and returns its VMDESCRIPTION. */
export async function descriptionLike(
  machine: Pick<Recipe, "args" | "files" | "until">,
  qemu: QemuBinary,
): Promise<VmDescription> {
  const recipe = entry({ ...machine, name: "schema", shows: "schema", qemu: qemu.version });
  return await descriptionOf(new MemorySource((await takeCapture(recipe)).stream));
}
