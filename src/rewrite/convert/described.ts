import { QevmError } from "../../bytes/errors.js";
import type { StreamItem, VmDescriptionItem } from "../../codec/stream/index.js";
import { DESCRIPTION_HEADER } from "../../codec/stream/types.js";
import { printVmDescription, type DeviceDescription } from "../../codec/vmstate/index.js";

/**
 * The VMDESCRIPTION of a stream, from the descriptions by which its device state was decoded: its own, or those that a
 * schema lent. With it the output describes its own devices.
 */
export class Described {
  private readonly devices: DeviceDescription[] = [];
  private state: "open" | "due" | "written" = "open";

  /** Takes note of an item. Errors: unsupported for device state that is not decoded. */
  note(item: StreamItem): void {
    if (item.kind === "eof") this.state = "due";
    if (item.kind === "opaque") throw refusal(item.offset, item.reason);
    if (item.kind !== "section" || item.type !== "full") return;
    if (item.content.kind === "device") {
      if (item.content.catalogue?.certain === false) throw refusal(item.offset, UNCERTAIN);
      this.devices.push(item.content.state.description);
    } else if (item.content.kind === "opaque") throw refusal(item.offset, item.content.reason);
  }

  /** What follows EOF, once; undefined before EOF. */
  take(pageSize: number, offset: number): VmDescriptionItem | undefined {
    if (this.state !== "due") return undefined;
    this.state = "written";
    const description = { pageSize, devices: this.devices, style: "compact", exact: true } as const;
    const payloadOffset = offset + DESCRIPTION_HEADER;
    return { kind: "vmdescription", offset, payloadOffset, text: printVmDescription(description), description };
  }
}

const UNCERTAIN = "device state for which the catalogue has no certain layout";

function refusal(offset: number, reason: string): QevmError {
  return new QevmError("unsupported", `no description of the devices: ${reason}`, { offset });
}
