import type { RamBlock } from "../ram/index.js";
import type { Schema, VmDescription } from "../vmstate/index.js";
import type { CatalogueOption } from "./device-part.js";
import type { StreamLimits } from "./limits.js";
import type { SectionHeader } from "./section.js";

/** How a stream is read. */
export interface StreamOptions {
  /** Turn recoverable errors into warnings. Default: refuse them. */
  lenient?: boolean;
  /** Target page size in bytes where the stream does not say it. Default: what the first pages show, or 4096. */
  pageSize?: number;
  limits?: Partial<StreamLimits>;
  /**
   * Descriptions of other captures of the same QEMU and machine, for device state that the stream does not describe
   * itself: after a switch to postcopy, with `suppress-vmdesc`, before a cut. They are used for the whole stream; where
   * they do not fit is an error.
   */
  schema?: Schema | readonly VmDescription[] | undefined;
  /**
   * Layouts for device state that neither `schema` nor the stream describes, or a function that gets them when they are
   * needed. Default: such state is opaque. `qevm/node` has `loadCatalogue`.
   */
  catalogue?: CatalogueOption | undefined;
  /**
   * RAM that cannot be read, since it is after a section that cannot be decoded and whose end cannot be found. Default
   * "refuse": the error `unsupported` with the section's offset (in lenient mode a warning). "count": a warning in both
   * modes, for a consumer that counts bytes and delivers none.
   */
  unreached?: "refuse" | "count" | undefined;
  /** Bytes asked of the source at a time. */
  bufferSize?: number;
  /**
   * Let another thread read ahead where the source can. Default true, unless `bufferSize` is given.
   */
  readAhead?: boolean;
  /** Absolute offset of the source's first byte, for errors. */
  offset?: number;
  /**
   * mapped-ram: skip bitmaps and pages, without reading them where the source can seek; `ram.blocks` says where
   * they are.
   */
  skipMappedPages?: boolean;
  /**
   * mapped-ram: skip runs of 4 MiB and more of pages without a bit in the bitmap, without reading them where the source
   * can seek: for a consumer of pages, not one that gives every byte back. Default false.
   */
  skipUnsetPages?: boolean;
  /**
   * The connection may have broken off, so that the stream ends anywhere: no anomaly, but not complete. What is left of
   * a record is opaque.
   */
  broken?: boolean;
  /**
   * The stream continues where an earlier connection broke (postcopy recovery): no header, and the earlier part is
   * known.
   */
  after?: Continued | undefined;
}

/** What a resumed connection relies on. */
export interface Continued {
  pageSize: number;
  blocks: readonly RamBlock[];
  /** From their START or FULL. */
  sections: readonly SectionHeader[];
  footers: boolean | undefined;
}
