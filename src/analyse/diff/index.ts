/** What two streams have not in common, by what a destination would get. */
export { diffStreams, type DiffOptions } from "./diff.js";
export { filterDiff, type DiffFilter, type LeftOut } from "./filter.js";
export { sideOf } from "./side.js";
export type {
  BlockDiff,
  ByteRange,
  DeviceDiff,
  FieldDifference,
  PageRange,
  PageTotals,
  Pair,
  PartDifference,
  PartValue,
  RamDiff,
  Side,
  StreamDiff,
  StreamSummary,
  Verdict,
} from "./types.js";
