import {
  decodeDevice,
  findVmDescription,
  parseVmDescription,
  type DeviceDescription,
  type DeviceState,
  type FieldDescription,
  type StructDescription,
  type VmDescription,
} from "../../src/codec/vmstate/index.js";
import { latin1, MemorySink, QemuFileReader, QemuFileWriter } from "../../src/bytes/index.js";

/** A short form of a field object. */
export function field(
  name: string,
  type: string,
  size: number,
  more: Partial<FieldDescription> = {},
): FieldDescription {
  return { name, type, size, ...more };
}

/** A struct of such fields. */
export function struct(
  vmsdName: string,
  fields: FieldDescription[],
  subsections?: StructDescription[],
): StructDescription {
  return { vmsdName, version: 1, fields, ...(subsections === undefined ? {} : { subsections }) };
}

export function device(fields: FieldDescription[], subsections?: StructDescription[]): DeviceDescription {
  return { name: "test", instanceId: 0, ...struct("test", fields, subsections) };
}

/** The bytes that are written. */
export function written(write: (writer: QemuFileWriter) => void): Uint8Array {
  const sink = new MemorySink();
  const writer = new QemuFileWriter(sink);
  write(writer);
  void writer.flush();
  return sink.bytes();
}

/** One device section of a capture: header fields, where its payload is, and its state. */
export interface DeviceSection {
  description: DeviceDescription;
  state: DeviceState;
  start: number;
  end: number;
}

/** The last VMDESCRIPTION of a stream that is in memory, with the offset of its record. */
export function describe(
  stream: Uint8Array,
): { description: VmDescription; text: string; position: number } | undefined {
  let found: { description: VmDescription; text: string; position: number } | undefined;
  for (const candidate of findVmDescription(stream)) {
    if (!candidate.complete || candidate.start + candidate.length !== stream.length) continue;
    const text = latin1(stream.subarray(candidate.start));
    found = { description: parseVmDescription(text, { offset: candidate.start }), text, position: candidate.position };
  }
  return found;
}

/**
 * Walks the device part of a capture by the section headers only, without `src/codec/stream`: from the first header of
 * the first device up to EOF. Everything there must be a FULL section or a command.
 */
export function deviceSections(stream: Uint8Array, vm: VmDescription, position: number): DeviceSection[] {
  if (vm.devices.length === 0) return [];
  const whole = Buffer.from(stream.buffer, stream.byteOffset, stream.length);
  const headerOf = ({ name, instanceId }: DeviceDescription): number => {
    const head = written((writer) => {
      writer.string8(name);
      writer.u32(instanceId);
    });
    return whole.lastIndexOf(head, position) - 5;
  };
  const reader = QemuFileReader.over(stream);
  reader.position = headerOf(vm.devices[0]!);
  const sections: DeviceSection[] = [];
  while (reader.position < position - 1) {
    const type = reader.u8();
    if ((type === 2 || type === 3) && sections.length === 1) {
      // virtio-mem's early section is before the pages; the other devices come after them.
      reader.position = headerOf(vm.devices[1]!);
      continue;
    }
    if (type === 8) {
      reader.u16();
      reader.skip(reader.u16());
      continue;
    }
    if (type !== 4) throw reader.error("unknown-type", "not a FULL section", { found: `${type}` });
    const id = reader.u32();
    const name = reader.string8();
    const instance = reader.u32();
    const version = reader.u32();
    const description = vm.devices[sections.length]!;
    if (description.name !== name || description.instanceId !== instance)
      throw reader.error("bad-value", `not ${name}`);
    if (description.version !== undefined && description.version !== version)
      throw reader.error("bad-value", "version");
    const start = reader.position;
    const footer = written((writer) => {
      writer.u8(0x7e);
      writer.u32(id);
    });
    const footerAt = (at: number): boolean => footer.every((byte, i) => stream[at + i] === byte);
    const state = decodeDevice(reader, description, {
      endsAt: (at) => footerAt(at) || stream[at] === 4 || at === position - 1,
    });
    sections.push({ description, state, start, end: reader.position });
    if (footerAt(reader.position)) reader.skip(footer.length);
  }
  return sections;
}
