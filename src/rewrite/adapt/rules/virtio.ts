import { isRecordValue, type FieldValue, type RecordValue } from "../../../codec/vmstate/index.js";
import type { MergeContext } from "../context.js";
import { mergeExtended, mergePciConfig } from "./pci-config.js";
import { alignLegacyBar } from "./virtio-legacy.js";
import { mergeFeatures } from "./virtio-features.js";
import { checkFixed, mergeQueues } from "./virtio-fixed.js";

/**
 * A virtio device: the guest's state whole, with the PCI registers of `mergePciConfig`. Rings that the guest has not
 * set up take the length that the destination gives them: QEMU 10.0 saves 1024 for the transmit queue of virtio-net
 * and 11.1 takes 256. Source: QEMU hw/virtio/virtio.c `virtio_load`, hw/virtio/virtio-pci.c (5.2 to 11.1).
 */
export function mergeVirtio(old: RecordValue, pattern: RecordValue, ctx: MergeContext): RecordValue {
  const record = { ...mergeFeatures(old.record, ctx.features, ctx) };
  const theirs = pattern.record;
  const [pci, likePci] = [record["pci"], theirs["pci"]];
  if (isRecordValue(pci) && isRecordValue(likePci)) {
    const merged = ctx.within("pci", () => mergeTransport(pci, likePci, ctx));
    record["pci"] = ctx.within("pci", () => alignLegacyBar(merged, likePci, { mine: record, theirs }, ctx));
  }
  const device = /\/([\w-]+)"\/\d+$/u.exec(ctx.section)?.[1] ?? "";
  const queues = ctx.within("queues", () => mergeQueues(device, record, theirs, ctx));
  record["queues"] = queues;
  if (Array.isArray(queues)) record["queue_count"] = queues.length;
  checkFixed(device, record["device"] ?? null, theirs["device"] ?? null, ctx);
  return { record };
}

function mergeTransport(old: RecordValue, pattern: RecordValue, ctx: MergeContext): RecordValue {
  const record = { ...old.record };
  const { config, msix } = record;
  const like = pattern.record["config"];
  if (isRecordValue(config) && isRecordValue(like)) {
    const { extended, ...rest } = config.record;
    const { extended: theirs, ...restOfTheirs } = like.record;
    const merged = ctx.within("config", () => mergePciConfig({ record: rest }, { record: restOfTheirs }, ctx));
    const taken = extendedOf(extended, theirs, ctx);
    record["config"] = { record: taken === undefined ? merged.record : { ...merged.record, extended: taken } };
  }
  const theirMsix = pattern.record["msix"];
  const lost = isRecordValue(msix) && !isRecordValue(theirMsix);
  // The state of the table is there where the configuration space says so.
  if (lost) {
    delete record["msix"];
    delete record["config_vector"];
  } else if (isRecordValue(theirMsix) && (!isRecordValue(msix) || tableLength(msix) !== tableLength(theirMsix))) {
    // A table of another length was refused above.
    record["msix"] = theirMsix;
    if (!isRecordValue(msix)) record["config_vector"] = 0xffff;
  }
  return { record };
}

function tableLength({ record: { table } }: RecordValue): number | undefined {
  return Array.isArray(table) || table instanceof Uint8Array ? table.length : undefined;
}

function extendedOf(
  mine: FieldValue | undefined,
  theirs: FieldValue | undefined,
  ctx: MergeContext,
): FieldValue | undefined {
  if (!(theirs instanceof Uint8Array)) return undefined;
  return mine instanceof Uint8Array ? mergeExtended(mine, theirs, ctx) : theirs;
}
