import type { Warning } from "../../bytes/errors.js";
import type { RamBlock } from "../../codec/ram/index.js";
import type { SectionItem } from "../../codec/stream/index.js";
import type { DeviceValues, NotSet } from "./device-changes.js";

/** The encoding of pages: unchanged, plain pages, or COMPRESS_PAGE. */
export type RamTarget = "keep" | "normal" | "zlib";

/** Our own WebAssembly, node:zlib, or the bytes of QEMU's zlib. */
export type ConvertEngine = "page" | "fast" | "exact";

/**
 * Devices whose layout is not certain in a description that is added: "refuse" names them all in an error, "bytes"
 * describes each as one buffer of its length, "layout" by the layout that fits (opaque ones as bytes). The last two
 * give a warning for each.
 */
export type UncertainDevices = "refuse" | "bytes" | "layout";

/** Options of `convertStream`. Everything else stays unchanged, byte for byte. */
export interface ConvertOptions {
  /** Default "keep". */
  ram?: RamTarget | undefined;
  /** "zlib": 0 to 9, default 1. */
  level?: number | undefined;
  /** Worker threads that compress or decompress; 1 (default): none, everything in this one. */
  threads?: number | undefined;
  /**
   * What compresses and decompresses; default: the fastest. "exact" writes the bytes that QEMU's zlib would, at its
   * price.
   */
  engine?: ConvertEngine | undefined;
  /** One round that holds the last content of every page, as plain pages where `ram` does not say otherwise. */
  flatten?: boolean | undefined;
  /** Machine type for the configuration section. */
  machine?: string | undefined;
  /**
   * "stream" makes a plain stream of a mapped-ram file, "mapped-ram" the other way; both write one round. Default: as
   * it is.
   */
  to?: "stream" | "mapped-ram" | undefined;
  dropVmdescription?: boolean | undefined;
  /**
   * After EOF comes the description by which device state was decoded: a lent schema's, the catalogue's, or the stream's
   * own.
   */
  addVmdescription?: boolean | undefined;
  /** With `addVmdescription`. Default "refuse". */
  uncertainDevices?: UncertainDevices | undefined;
  /**
   * Called with each section of decoded device state before it is written. Values (`content.state.fields`) may be
   * changed in place: the output has what they are then.
   */
  onDevice?: ((section: SectionItem) => void) | undefined;
  /**
   * The input may pause until the peer has received what was written: whenever it does, the output is flushed.
   * `inRam` tells whether the pages of a RAM section are being read.
   */
  live?: { inRam: boolean } | undefined;
  /** Device values in place of the stream's own. */
  values?: DeviceValues | undefined;
  /** Offset of the output's first byte in its file: everything before it is already written. Default 0. */
  outOffset?: number | undefined;
}

/** Page records of a stream by encoding. */
export interface PageTally {
  normal: number;
  zero: number;
  compressed: number;
  xbzrle: number;
}

/** Bytes and pages of input and output. */
export interface ConvertReport {
  /** Machine type as written; null without a configuration section. */
  machine: string | null;
  /** Bytes read and written. */
  streamLength: { read: number; written: number };
  pages: { read: PageTally; written: PageTally };
  /** The input reached its EOF. */
  complete: boolean;
  warnings: readonly Warning[];
  /** With `values`: those that a live migration did not get, since they were found wrong after its switch to postcopy. */
  notSet?: readonly NotSet[];
  /** Anomalies that lenient mode skipped, also those beyond the limit of `warnings`: the contents are not reliable. */
  passedOver: number;
}

/** Puts pages into the output in some encoding. A promise means: wait before the next call. */
export interface PageEncoder {
  readonly pages: PageTally;
  /**
   * @param page undefined: zeros; it belongs to the caller again on return
   * @param continues the name of the block is left out; default: where the record before is of the same block
   */
  page(block: RamBlock, offset: number, page: Uint8Array | undefined, continues?: boolean): void | Promise<void>;
  /** After this, everything given so far is in the writer: other things may be written directly. */
  settle(): void | Promise<void>;
  close(): Promise<void>;
}

export function noPages(): PageTally {
  return { normal: 0, zero: 0, compressed: 0, xbzrle: 0 };
}
