import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import type { SectionItem, StreamItem, VmDescriptionItem } from "../../codec/stream/index.js";
import { DESCRIPTION_HEADER } from "../../codec/stream/types.js";
import { printVmDescription, type DeviceDescription } from "../../codec/vmstate/index.js";
import type { UncertainDevices } from "./types.js";

/** A device that cannot be described for sure. */
interface Doubt {
  readonly offset: number;
  readonly name: string;
  readonly why: string;
}

/** Names in an error message at most. */
const MOST_NAMES = 8;

/**
 * The VMDESCRIPTION of a stream, from the descriptions by which its device state was decoded: its own, those that a
 * schema lent, or those of the catalogue. With it the output describes its own devices.
 */
export class Described {
  private readonly devices: DeviceDescription[] = [];
  private readonly doubts: Doubt[] = [];
  private state: "open" | "due" | "written" = "open";

  constructor(private readonly uncertain: UncertainDevices = "refuse") {}

  /** Takes note of an item. Errors: unsupported where the ends of devices are not known. */
  note(item: StreamItem): void {
    if (item.kind === "eof") this.state = "due";
    if (item.kind === "opaque") throw refusal(item.offset, item.reason);
    if (item.kind !== "section" || item.type !== "full") return;
    const { content } = item;
    if (content.kind !== "device" && content.kind !== "opaque") return;
    const why = doubtOf(item);
    if (why !== undefined) this.doubts.push({ offset: item.offset, name: `${item.idstr}/${item.instanceId}`, why });
    const isLayout = content.kind === "device" && (why === undefined || this.uncertain === "layout");
    this.devices.push(isLayout ? content.state.description : asBytes(item));
  }

  /** What follows EOF, once; undefined before EOF. Errors: unsupported for devices that are not certain. */
  take(pageSize: number, offset: number, diagnostics: Diagnostics): VmDescriptionItem | undefined {
    if (this.state !== "due") return undefined;
    this.state = "written";
    if (this.uncertain === "refuse" && this.doubts.length > 0) throw this.refuseAll();
    for (const { offset: at, name, why } of this.doubts) {
      const how = this.uncertain === "bytes" ? "described as bytes" : "described by a layout that is not certain";
      diagnostics.warn(new QevmError("bad-description", `${how}: ${why}`, { offset: at, path: [name] }));
    }
    const description = { pageSize, devices: this.devices, style: "compact", exact: true } as const;
    const payloadOffset = offset + DESCRIPTION_HEADER;
    return { kind: "vmdescription", offset, payloadOffset, text: printVmDescription(description), description };
  }

  private refuseAll(): QevmError {
    const { doubts } = this;
    const shown = doubts.slice(0, MOST_NAMES).map(({ name, why }) => `${name} (${why})`);
    const more = doubts.length > shown.length ? ` and ${doubts.length - shown.length} more` : "";
    const error = refusal(doubts[0]!.offset, `not certain are ${shown.join("; ")}${more}`);
    const expected = "certain layouts, or a choice how to describe the others (--uncertain bytes or layout)";
    return new QevmError(error.code, error.what, { offset: error.offset, expected });
  }
}

/** Why the layout of a device is not certain; undefined: it is. */
function doubtOf({ content }: SectionItem): string | undefined {
  if (content.kind === "opaque") return content.reason;
  if (content.kind !== "device" || content.catalogue?.certain !== false) return undefined;
  const { fields } = content.catalogue.uncertain ?? { fields: [] };
  if (fields.length === 0) return "all of its fields are uncertain";
  const [first, ...more] = fields;
  return `uncertain: ${first}${more.length === 0 ? "" : ` and ${more.length} more`}`;
}

/** A device as QEMU describes one without a vmsd: a buffer. */
function asBytes({ idstr: name, instanceId, content }: SectionItem): DeviceDescription {
  const size = content.kind === "device" ? content.length : content.kind === "opaque" ? content.bytes.length : 0;
  return { name, instanceId, size, fields: [{ name: "data", size, type: "buffer" }] };
}

function refusal(offset: number, reason: string): QevmError {
  return new QevmError("unsupported", `no description of the devices: ${reason}`, { offset });
}
