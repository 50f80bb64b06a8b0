import { isRecordValue, type FieldValue, type RecordValue } from "../../../codec/vmstate/index.js";
import type { MergeContext } from "../context.js";

/**
 * The scanouts of virtio-gpu, as the destination has them: since 8.1 each says the buffer behind it. A guest without
 * resources has none. Source: QEMU hw/display/virtio-gpu.c, property x-scanout-vmstate-version (7.2 and 11.1).
 */
export function mergeGpu(old: RecordValue, pattern: RecordValue, ctx: MergeContext): RecordValue {
  const [mine, theirs] = [old.record["scanout"], pattern.record["scanout"]];
  if (!Array.isArray(mine) || !Array.isArray(theirs)) return old;
  if (old.record["max_outputs"] !== pattern.record["max_outputs"]) {
    const remedy = { property: "max_outputs", value: String(Number(old.record["max_outputs"])) };
    const reason = "QEMU compares this with what its own device has, and refuses another";
    ctx.note("virtio-device", "never", old.record["max_outputs"], pattern.record["max_outputs"], reason, remedy);
    return old;
  }
  const scanout = mine.map((one, i): FieldValue => {
    const like = theirs[i];
    if (!isRecordValue(one) || like === undefined || !isRecordValue(like)) return one;
    const record = Object.fromEntries(
      Object.keys(like.record).map((key) => [key, (one.record[key] ?? like.record[key])!]),
    );
    if (Object.keys(one.record).length !== Object.keys(record).length) {
      const what = "the buffer of the scanout is saved since 8.1; a guest without resources has none";
      ctx.within(`scanout > [${i}]`, () => ctx.note("gpu-scanout", "form", one, like, what));
    }
    return { record };
  });
  return { record: { ...old.record, scanout } };
}
