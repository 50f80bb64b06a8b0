/** The destination harness: a real QEMU that loads a stream and is then examined. */
export { type Breakage, breakages } from "./breakages.js";
export {
  blockHashes,
  compare,
  type Comparison,
  type Expected,
  readPhysical,
  readRamBlock,
  readRegisters,
  readStatus,
} from "./compare.js";
export {
  type Destination,
  type DestinationOptions,
  type LoadResult,
  runGuest,
  startDestination,
} from "./destination.js";
export { destinationLike, type LikeOptions } from "./like.js";
