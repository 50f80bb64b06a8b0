/**
 * What a stream is to somebody whose QEMU refuses it: QEMU's texts, the destination that fits, the releases that load
 * it, and what is wrong in it.
 */
export { explainSource, explainStream, wrappedIn, type ExplainOptions } from "./explain.js";
export { KNOWN_TEXTS } from "./texts.js";
export type { KnownText } from "./context.js";
export type {
  About,
  AdaptReach,
  Damage,
  Destination,
  Explanation,
  Finding,
  LikelyDevice,
  Remedy,
  VersionRule,
} from "./types.js";
export { commandLines } from "./shell.js";
export type { StreamWatch } from "./survey.js";
export { compareVersions, releasesLine } from "./versions.js";
