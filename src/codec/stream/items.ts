import type { RamBatch } from "../ram/batch.js";
import type { SectionRecord } from "../sections/index.js";
import type { DeviceState, VmDescription } from "../vmstate/index.js";
import type { Command } from "./command.js";
import type { Configuration } from "./configuration.js";
import type { SectionType } from "./types.js";

/** The parts of a stream, in stream order. `offset` is the absolute byte offset of the first byte. */
export type StreamItem =
  | HeaderItem
  | ConfigurationItem
  | SectionItem
  | FooterItem
  | CommandItem
  | PackageEndItem
  | EofItem
  | VmDescriptionItem
  | OpaqueItem
  | TrailingItem;

/** Magic and version: the first 8 bytes. */
export interface HeaderItem {
  kind: "header";
  offset: number;
  version: number;
}

/** The configuration section: machine type and capabilities. */
export interface ConfigurationItem {
  kind: "configuration";
  offset: number;
  configuration: Configuration;
}

/** A section header and what it holds. */
export interface SectionItem {
  kind: "section";
  offset: number;
  type: SectionType;
  sectionId: number;
  idstr: string;
  instanceId: number;
  versionId: number;
  /** Absolute offset of the first byte after the section's header. */
  payloadOffset: number;
  content: SectionContent;
  /**
   * The RAM records of a "ram" section, a batch at a time, once; empty for other sections. What is not read is passed
   * over.
   */
  records(): AsyncGenerator<RamBatch>;
}

/** Values of a device that other layouts that fit give otherwise, or under another name. */
export interface UncertainFields {
  /** Their paths, `[]` for any element: `core.timadj`, `timer[].cmp`. Empty: all of the device. */
  fields: string[];
  /** Their bytes. */
  bytes: number;
}

/** Device state that was read by the catalogue, since nothing describes it. */
export interface CatalogueMark {
  /** Whose layout it is: `catalogue x86_64 7.2, x86_64 10.0`. */
  schema: string;
  /** Further layouts that fit the bytes and give other values. */
  others: number;
  /** All layouts that fit agree on every value, and a QEMU that may have written the stream is known to have one. */
  certain: boolean;
  /** Otherwise: what is not certain. */
  uncertain?: UncertainFields;
}

/** What a section holds. */
export type SectionContent =
  | { kind: "ram" }
  | { kind: "device"; state: DeviceState; length: number; catalogue?: CatalogueMark }
  /**
   * Another section with a grammar of its own ("block", "dirty-bitmap", ...): `entries` once, but for FULL. What is not
   * read is passed over.
   */
  | { kind: "records"; entries: () => AsyncGenerator<SectionRecord> }
  /** A payload whose end was found (by its footer) though its fields are not known. */
  | { kind: "opaque"; bytes: Uint8Array; reason: string };

/** The footer of the section before it. */
export interface FooterItem {
  kind: "footer";
  offset: number;
  sectionId: number;
}

/** A VM command between sections. */
export interface CommandItem {
  kind: "command";
  offset: number;
  /** From `commandName`. */
  name: string;
  /** Absolute offset of the first byte after the command's length. */
  payloadOffset: number;
  command: Command;
}

/** The end of a package: the sections and commands since PACKAGED were in it. */
export interface PackageEndItem {
  kind: "package-end";
  offset: number;
}

/** The end of the device part. */
export interface EofItem {
  kind: "eof";
  offset: number;
}

/** The VMDESCRIPTION after the end: the schema of the device state. */
export interface VmDescriptionItem {
  kind: "vmdescription";
  offset: number;
  /** Absolute offset of the first byte of the text. */
  payloadOffset: number;
  /** The JSON text as it is in the stream. */
  text: string;
  description: VmDescription;
}

/**
 * The rest of a stream (or of a package, after which the stream continues) from the first part that cannot be decoded.
 */
export interface OpaqueItem {
  kind: "opaque";
  offset: number;
  reason: string;
  /**
   * Whether the rest ends the way a whole stream without VMDESCRIPTION does (footer, EOF). Known once `chunks` is done.
   */
  endsInEof(): boolean;
  chunks(partly?: boolean): AsyncGenerator<Uint8Array>;
}

/** What follows a stream that has ended: padding of a block device or container. */
export interface TrailingItem {
  kind: "trailing";
  offset: number;
  /** What the bytes are, if they are not zeros. */
  what: string;
  /** Bytes at their end that are more than `limits.tailBytes`: they are not read. */
  unread: number;
  /** @param partly false: the error `limit` where bytes would be left out */
  chunks(partly?: boolean): AsyncGenerator<Uint8Array>;
}
