export { adaptStream, planStreams, reportOf, type AdaptOptions, type Reopened } from "./adapt.js";
export type { AdaptPlan, AdaptReport, BlockPlan, Change, Section, Survey, Weight } from "./types.js";
