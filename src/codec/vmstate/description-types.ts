import type { JsonStyle } from "./json.js";

/**
 * The typed schema of a VMDESCRIPTION text: one object per device, field and nested struct. Printing it gives the text
 * again.
 *
 * | JSON object | members, in QEMU's order                                                                          |
 * |-------------|---------------------------------------------------------------------------------------------------|
 * | top         | `configuration` (8.2 -), `page_size`, `devices`                                                   |
 * | device      | `name`, `instance_id`, then a struct; old-style handlers: `size`, `fields: [{name, size, type}]`   |
 * | struct      | `vmsd_name`, `version`, `fields`, `subsections` (only where there are any)                        |
 * | field       | `name`, `array_len` or `index`, `type`, `struct` or structs inlined (with duplicate keys), `size` |
 *
 * Source: QEMU migration/savevm.c, migration/vmstate.c (5.2 to 11.x).
 */
export interface VmDescription {
  /** Target page size in bytes. */
  pageSize: number;
  /** The configuration section as a struct, where the text has it (QEMU 8.2 and later). */
  configuration?: StructDescription;
  /** One per FULL section, in stream order. */
  devices: DeviceDescription[];
  /** The text form of the original. */
  style: JsonStyle;
  /** True: {@link printVmDescription} returns exactly the text that was parsed. */
  exact: boolean;
}

/** A vmsd: fields in wire order, then the subsections that are in the stream. */
export interface StructDescription {
  /** Absent in old-style handlers, which have no vmsd. */
  vmsdName?: string;
  version?: number;
  fields: FieldDescription[];
  subsections?: StructDescription[];
}

/** The description of one device section: its name, instance, and fields. */
export interface DeviceDescription extends StructDescription {
  /** The section's idstr. */
  name: string;
  instanceId: number;
  /** Payload size in bytes; only old-style handlers state it. */
  size?: number;
}

/** One field as the VMDESCRIPTION describes it. */
export interface FieldDescription {
  name: string;
  /** Number of consecutive elements that this object describes. */
  arrayLength?: number;
  /** Index of the element in an array that is described element by element. */
  index?: number;
  type: string;
  /** For type `struct`. `null`: `"struct": {}`, which is how a NULL pointer was described up to QEMU 9.2. */
  struct?: StructDescription | null;
  /** Structs inlined into the field object: one for `vstruct` and `tmp`, one per element for queues and trees. */
  inlined?: StructDescription[];
  /** Size on the wire in bytes; of the first element where `arrayLength` is given. */
  size: number;
}
