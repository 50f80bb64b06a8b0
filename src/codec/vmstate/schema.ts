import { QevmError } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/index.js";
import type { DeviceDescription, StructDescription, VmDescription } from "./description.js";
import { decodeDevice, type DecodeDeviceOptions } from "./device.js";
import { fitDevice } from "./fit.js";
import type { DeviceState } from "./state.js";

/** The section to decode with a schema. */
export interface LentSection {
  idstr: string;
  instanceId: number;
  versionId: number;
}

/**
 * Descriptions for a stream that has none: those of other captures of the same QEMU and machine. A vmsd is the same in
 * every capture. Subsections, queue lengths and the number of instances of a device may differ; these are determined
 * from the bytes.
 */
export class Schema {
  /** Target page size of the first description, bytes. */
  readonly pageSize: number | undefined;
  /** The first device of each name, and of each name and instance. */
  private readonly devices = new Map<string, { first: DeviceDescription; instances: Map<number, DeviceDescription> }>();
  /** All subsections of a vmsd that any description has, by name. */
  private readonly subsections = new Map<string, Map<string, StructDescription>>();

  constructor(descriptions: readonly VmDescription[]) {
    this.pageSize = descriptions[0]?.pageSize;
    for (const device of descriptions.flatMap((description) => description.devices)) {
      let known = this.devices.get(device.name);
      if (known === undefined) this.devices.set(device.name, (known = { first: device, instances: new Map() }));
      if (!known.instances.has(device.instanceId)) known.instances.set(device.instanceId, device);
      this.learn(device);
    }
  }

  /**
   * Decodes the payload of one FULL section from the reader, which is positioned after its header. The whole payload
   * must be in the reader's buffer. Errors: bad-description at the first byte that does not fit the schema; as
   * `decodeDevice`.
   */
  decode(reader: QemuFileReader, section: LentSection, options: DecodeDeviceOptions = {}): DeviceState {
    const { idstr, instanceId, versionId } = section;
    const known = this.devices.get(idstr);
    const found = known?.instances.get(instanceId) ?? known?.first;
    if (found === undefined) {
      const what = "the schema does not describe this device";
      throw reader.error("bad-description", what, {
        offset: reader.offset - HEADER - idstr.length,
        found: `${JSON.stringify(idstr)}/${instanceId}`,
      });
    }
    if (found.version !== undefined && found.version !== versionId) {
      throw reader.error("bad-description", "the schema describes another version of this device", {
        offset: reader.offset - 4,
        expected: `${found.version}`,
        found: `${versionId}`,
      });
    }
    const device = found.instanceId === instanceId ? found : { ...found, instanceId };
    const start = reader.position;
    try {
      return decodeDevice(reader, device, options);
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      reader.position = start;
      const fitted = fitDevice(reader, device, (struct) => this.known(struct), options);
      return decodeDevice(reader, fitted, options);
    }
  }

  private known(struct: StructDescription): ReadonlyMap<string, StructDescription> | undefined {
    return struct.vmsdName === undefined ? undefined : this.subsections.get(struct.vmsdName);
  }

  private learn(struct: StructDescription): void {
    for (const { struct: nested, inlined } of struct.fields) {
      if (nested) this.learn(nested);
      for (const element of inlined ?? []) this.learn(element);
    }
    if (struct.vmsdName === undefined) return;
    for (const subsection of struct.subsections ?? []) {
      let known = this.subsections.get(struct.vmsdName);
      if (known === undefined) this.subsections.set(struct.vmsdName, (known = new Map()));
      if (!known.has(subsection.vmsdName ?? "")) known.set(subsection.vmsdName ?? "", subsection);
      this.learn(subsection);
    }
  }
}

/** Size of a FULL header without its idstr. */
const HEADER = 14;
