import type { QemuFileReader } from "../../bytes/reader.js";
import type { ByteSource } from "../../bytes/source.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import type { Compression, Detected } from "./detect.js";
import type { LibvirtData, LibvirtHeader } from "./libvirt/header.js";

/** One wrapping of a stream, as `inspect` tells it. */
export type Container =
  | { kind: Compression }
  | { kind: "libvirt"; offset: number; header: LibvirtHeader; format: string; data: LibvirtData }
  | { kind: "qcow2"; version: number; clusterSize: number; snapshot: string; snapshots: SnapshotSummary[] }
  /** Bytes that are none of these before the stream. */
  | { kind: "foreign"; length: number }
  /** A folder with every channel of a migration: read as one stream that holds the pages of all. */
  | { kind: "recording"; files: string[]; postcopy: boolean };

/** A snapshot of a qcow2 image. */
export interface SnapshotSummary {
  id: string;
  name: string;
  /** ISO 8601, UTC. */
  date: string;
  /** Bytes of VM state; 0: the snapshot is of the disk alone. */
  vmStateSize: number;
}

/** A stream seen through what it is wrapped in. */
export interface Input extends ByteSource {
  /** From the outside in; empty: the bare stream. */
  readonly containers: readonly Container[];
}

/** How an input is opened. */
export interface InputOptions {
  /** Name or id of a qcow2 snapshot. */
  snapshot?: string | undefined;
  /**
   * Where the stream begins, in bytes: in the file, or in what its outermost containers hold where the file is one. Default: it is
   * looked for in the first MiB.
   */
  offset?: number | undefined;
  /** A libvirt image that was not finished is read as far as it goes, with a warning. Default: refused. */
  unfinished?: boolean | undefined;
  /** How the channels of a recording are read. */
  stream?: StreamOptions | undefined;
  /** A recording whose migration failed is read in strict mode, too: for who tells what is wrong with it. */
  incomplete?: boolean | undefined;
}

/** What a source was found to be. */
export interface Found {
  kind: Detected["kind"];
  /** The whole source again, from its first byte. */
  source: ByteSource;
  reader: QemuFileReader;
  foreign: number;
  /** The bytes that it was told by. */
  head: Uint8Array;
}

/** One container taken off. */
export interface Step {
  container: Container;
  source: ByteSource;
  /** Bytes read so far of the compressed file that was taken off. */
  compressed?: () => number;
  /** Nothing more is looked for inside. */
  last: boolean;
}

/** `libvirt (xz)`, `gzip`, ...: what `inspect` prints; null for a bare stream. */
export function containerName(containers: readonly Container[]): string | null {
  if (containers.length === 0) return null;
  return containers
    .map((one) => (one.kind === "libvirt" && one.format !== "raw" ? `libvirt (${one.format})` : one.kind))
    .join(" > ");
}
