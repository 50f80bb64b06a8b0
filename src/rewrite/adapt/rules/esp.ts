import { isStructState, type DeviceState, type FieldValue, type StructState } from "../../../codec/vmstate/index.js";
import { isZero, type MergeContext } from "../context.js";

/** What the chip had until its buffers became queues. */
const BUFFERS = new Set([
  "ti_rptr",
  "ti_wptr",
  "ti_buf",
  "deferred_status",
  "deferred_complete",
  "cmdbuf",
  "cmdlen",
  "dma_left",
]);
/** Those that are zero while no command is under way. */
const BUSY = ["ti_size", "deferred_complete", "cmdlen", "do_cmd", "dma_left"];

/**
 * The state of am53c974 and dc390 with the chip's buffers left out, where they are queues in the destination: QEMU 10.0
 * and 11.1 read the older form wrongly ("Missing section footer", or an assertion in util/fifo8.c). A chip at rest has
 * nothing in them. Undefined: another device, or none of the two forms. Source: hw/scsi/esp.c `esp_post_load`,
 * esp-pci.c, 7.2 and 11.1; streams of 5.2, 7.2 and 11.1.
 */
export function withoutBuffers(old: DeviceState, pattern: DeviceState, ctx: MergeContext): DeviceState | undefined {
  const { esp } = old.fields;
  const now = pattern.fields["esp"];
  if (esp === undefined || now === undefined || !isStructState(esp) || !isStructState(now)) return undefined;
  if (!("ti_buf" in esp.fields) || !("fifo" in now.fields)) return undefined;
  const { ti_rptr: read, ti_wptr: written } = esp.fields;
  const rests = read === written && BUSY.every((name) => isZero(esp.fields[name]));
  const reason = rests
    ? "the chip's buffers are queues since 6.0, and empty: no command is under way"
    : "the chip's buffers are queues since 6.0, and a command is under way";
  const remedy = rests ? undefined : "save the guest anew, while its disks are at rest";
  ctx.within("esp", () =>
    ctx.note("esp-queue", rests ? "unused" : "guest", esp.fields["ti_buf"], "empty", reason, remedy),
  );
  const chip: StructState = {
    ...esp,
    description: { ...esp.description, fields: esp.description.fields.filter(({ name }) => !isBuffer(name)) },
    fields: Object.fromEntries(Object.entries(esp.fields).filter(([name]) => !isBuffer(name))) as Record<
      string,
      FieldValue
    >,
  };
  const { version } = pattern.description;
  return {
    ...old,
    description: {
      ...old.description,
      ...(version === undefined ? {} : { version }),
      fields: old.description.fields.map((entry) =>
        entry.name === "esp" ? { ...entry, struct: chip.description } : entry,
      ),
    },
    fields: { ...old.fields, esp: chip },
  };
}

function isBuffer(name: string): boolean {
  return BUFFERS.has(name.replace(/\[\d+\]$/u, ""));
}
