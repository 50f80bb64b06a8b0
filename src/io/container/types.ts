import type { QemuFileReader } from "../../bytes/reader.js";
import type { ByteSource } from "../../bytes/source.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import type { Recording } from "../recording/index.js";
import type { Compression, Detected } from "./detect.js";
import type { LibvirtData, LibvirtHeader } from "./libvirt/header.js";
import type { XenDomain, XenRecords } from "./xen/records.js";

/** One container of a stream, as `inspect` reports it. */
export type Container =
  | { kind: Compression }
  | { kind: "libvirt"; offset: number; header: LibvirtHeader; format: string; data: LibvirtData }
  | { kind: "qcow2"; version: number; clusterSize: number; snapshot: string; snapshots: SnapshotSummary[] }
  /**
   * A save file of Xen's tools: of `xl save`, of libvirt's, a libxl stream, or a device model's record alone. `records`:
   * those before the device model's stream and the one that has it.
   */
  | {
      kind: "xen";
      format: "xl" | "libvirt" | "libxl" | "record";
      offset: number;
      records: XenRecords[];
      domain?: XenDomain;
    }
  /** Bytes of unknown kind before the stream. */
  | { kind: "foreign"; length: number }
  /** A folder with every channel of a migration, merged into one stream with all pages. */
  | { kind: "recording"; files: string[]; postcopy: boolean };

/** A snapshot of a qcow2 image. */
export interface SnapshotSummary {
  id: string;
  name: string;
  /** ISO 8601, UTC. */
  date: string;
  /** Size of the VM state in bytes; 0 for a disk-only snapshot. */
  vmStateSize: number;
}

/** A stream taken out of its containers. */
export interface Input extends ByteSource {
  /** Outermost first; empty for a bare stream. */
  readonly containers: readonly Container[];
  /** The channels that the stream is merged of, for who reads them side by side. */
  readonly recording?: Recording | undefined;
}

/** How an input is opened. */
export interface InputOptions {
  /** Name or id of a qcow2 snapshot. */
  snapshot?: string | undefined;
  /**
   * Byte offset of the stream: in the file, or in the contents of its outermost containers. Default: search the first
   * MiB.
   */
  offset?: number | undefined;
  /** Read an unfinished libvirt image as far as possible, with a warning. Default: refuse it. */
  unfinished?: boolean | undefined;
  /** Options for reading the channels of a recording. */
  stream?: StreamOptions | undefined;
  /** Read a recording of a failed migration, or with damaged channels, even in strict mode, for analysing it. */
  incomplete?: boolean | undefined;
}

/** The result of detecting a source. */
export interface Found {
  kind: Detected["kind"];
  /** The whole source, from its first byte. */
  source: ByteSource;
  reader: QemuFileReader;
  foreign: number;
  /** The first bytes, which were used for detection. */
  head: Uint8Array;
}

/** The result of opening one container. */
export interface Step {
  container: Container;
  source: ByteSource;
  /** Bytes read so far of the compressed file. */
  compressed?: () => number;
  /** Do not look for containers inside. */
  last: boolean;
}

/** `libvirt (xz)`, `gzip`, ...: as `inspect` prints it; null for a bare stream. */
export function containerName(containers: readonly { kind: string; format?: string }[]): string | null {
  if (containers.length === 0) return null;
  return containers
    .map((one) =>
      one.kind === "xen" || (one.kind === "libvirt" && one.format !== "raw") ? `${one.kind} (${one.format})` : one.kind,
    )
    .join(" > ");
}
