import { QevmError } from "../../bytes/errors.js";
import { latin1, type QemuFileReader } from "../../bytes/reader.js";
import { MemorySink } from "../../bytes/source.js";
import { fromLatin1, QemuFileWriter } from "../../bytes/writer.js";
import type { StreamLimits } from "./limits.js";
import { TypeByte } from "./types.js";

/**
 * The configuration section, directly after the header; absent with send-configuration=off (machine types up to 2.3).
 *
 * | field            | notes                                    |
 * |------------------|------------------------------------------|
 * | u8 0x07          |                                          |
 * | be32 n, n bytes  | machine type, no NUL                     |
 * | subsections      | each u8 0x05, str8 name, be32 version, body |
 *
 * | subsection                        | body                            | since |
 * |-----------------------------------|---------------------------------|-------|
 * | configuration/target-page-bits    | be32 bits                       | 2.8   |
 * | configuration/capabilities        | be32 count, count times str8    | 4.0   |
 * | configuration/uuid                | 16 bytes                        | 4.2   |
 *
 * Source: QEMU migration/savevm.c vmstate_configuration (5.2 to 11.1).
 */
export interface Configuration {
  /** Machine type, for example "pc-i440fx-7.2". */
  machine: string;
  subsections: ConfigurationSubsection[];
}

/** A subsection of the configuration section. */
export type ConfigurationSubsection =
  | { name: "configuration/target-page-bits"; version: number; bits: number }
  | { name: "configuration/capabilities"; version: number; capabilities: string[] }
  | { name: "configuration/uuid"; version: number; uuid: Uint8Array };

/**
 * Reads the section, its type byte included. Errors: truncated, limit, unsupported (an unknown subsection has no
 * length).
 */
export async function decodeConfiguration(reader: QemuFileReader, limits: StreamLimits): Promise<Configuration> {
  await reader.need(5, "configuration");
  reader.skip(1);
  const n = reader.u32();
  if (n > limits.machineName) {
    throw reader.error("limit", "machine name", {
      offset: reader.offset - 4,
      expected: `at most ${limits.machineName} bytes`,
      found: `${n}`,
    });
  }
  await reader.need(n, "machine name");
  const configuration: Configuration = { machine: latin1(reader.view(n)), subsections: [] };
  while ((await reader.fill(1)) && reader.peek() === TypeByte.SUBSECTION) {
    if (configuration.subsections.length >= limits.configurationItems) {
      throw reader.error("limit", "too many configuration subsections");
    }
    configuration.subsections.push(await decodeSubsection(reader, limits));
  }
  return configuration;
}

/**
 * The twin of `decodeConfiguration`, its type byte included. Errors: does-not-fit (a character beyond Latin-1, a name
 * of more than 255 bytes, a number of more than 32 bits).
 */
export function encodeConfiguration(writer: QemuFileWriter, configuration: Configuration): void {
  const machine = fromLatin1(configuration.machine, "machine name");
  writer.u8(TypeByte.CONFIGURATION);
  writer.u32(machine.length);
  writer.bytes(machine);
  for (const subsection of configuration.subsections) encodeSubsection(writer, subsection);
}

async function decodeSubsection(reader: QemuFileReader, limits: StreamLimits): Promise<ConfigurationSubsection> {
  const at = reader.offset;
  await reader.need(2, "configuration subsection");
  await reader.need(2 + reader.peek(1) + 4, "configuration subsection");
  reader.skip(1);
  const name = reader.string8();
  const version = reader.u32();
  switch (name) {
    case "configuration/target-page-bits":
      await reader.need(4, name);
      return { name, version, bits: reader.u32() };
    case "configuration/capabilities": {
      await reader.need(4, name);
      const count = reader.u32();
      if (count > limits.configurationItems) {
        throw reader.error("limit", "capabilities", {
          offset: reader.offset - 4,
          expected: `at most ${limits.configurationItems}`,
          found: `${count}`,
        });
      }
      const capabilities: string[] = [];
      for (let i = 0; i < count; i++) {
        await reader.need(1, name);
        await reader.need(1 + reader.peek(), name);
        capabilities.push(reader.string8("capability"));
      }
      return { name, version, capabilities };
    }
    case "configuration/uuid":
      await reader.need(16, name);
      return { name, version, uuid: reader.bytes(16) };
    default:
      throw reader.error("unsupported", "unknown configuration subsection", {
        offset: at,
        found: JSON.stringify(name),
      });
  }
}

function encodeSubsection(writer: QemuFileWriter, subsection: ConfigurationSubsection): void {
  writer.u8(TypeByte.SUBSECTION);
  writer.string8(subsection.name);
  writer.u32(subsection.version);
  switch (subsection.name) {
    case "configuration/target-page-bits":
      writer.u32(subsection.bits);
      break;
    case "configuration/capabilities":
      writer.u32(subsection.capabilities.length);
      for (const capability of subsection.capabilities) writer.string8(capability, "capability");
      break;
    case "configuration/uuid":
      writer.bytes(subsection.uuid);
      break;
  }
}

/** The capabilities that the configuration announces (QEMU lists only those it validates). */
export function capabilitiesOf(configuration: Configuration | undefined): string[] {
  return (
    configuration?.subsections.flatMap((s) => (s.name === "configuration/capabilities" ? s.capabilities : [])) ?? []
  );
}

/** Bytes of a target page, where the configuration says it. `offset` is that of its type byte. Errors: bad-value. */
export function targetPageSize(configuration: Configuration, offset: number): number | undefined {
  const { machine, subsections } = configuration;
  const at = subsections.findIndex(({ name }) => name === TARGET_PAGE_BITS);
  const found = subsections[at];
  if (found?.name !== TARGET_PAGE_BITS) return undefined;
  if (found.bits < 10 || found.bits > MOST_BITS) {
    const before = new QemuFileWriter(new MemorySink());
    encodeConfiguration(before, { machine, subsections: subsections.slice(0, at) });
    throw new QevmError("bad-value", "target page bits", {
      offset: offset + before.offset + 2 + TARGET_PAGE_BITS.length + 4,
      path: ["configuration", TARGET_PAGE_BITS],
      expected: `10 to ${MOST_BITS}`,
      found: `${found.bits}`,
    });
  }
  return 2 ** found.bits;
}

/** No target of QEMU up to 11.1 has larger pages than 64 KiB (TARGET_PAGE_BITS in target/hexagon/cpu-param.h is 16). */
const MOST_BITS = 16;
const TARGET_PAGE_BITS = "configuration/target-page-bits";
