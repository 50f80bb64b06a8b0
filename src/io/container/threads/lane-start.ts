import type { Compression } from "../detect.js";
import type { OpenFile } from "./file-part.js";

/** What a lane is started with. Unit k of the file is lane k modulo `lanes`'s. */
export interface LaneStart {
  kind: Compression;
  file: OpenFile;
  /** Where the compressed bytes begin in the file. */
  start: number;
  /** Path of the reader, for errors. */
  path: readonly string[];
  lane: number;
  /** 1: all of the file in one go. */
  lanes: number;
  /** zstd, xz: see {@link StreamLimits.windowBytes}. */
  window?: number | undefined;
  /** bzip2: most bytes of a block. */
  limit?: number;
  /** xz: all blocks of the file. */
  blocks?: readonly XzBlock[];
}

/** A block of an xz file, as an index at the end of a stream has it. */
export interface XzBlock {
  /** Where it begins in the file. */
  at: number;
  /** Bytes without the padding to a multiple of four. */
  length: number;
  /** Plain bytes. */
  plain: number;
  /** The kind of check. */
  check: number;
}
