export { adaptStream, planStreams, reportOf, type PlanOptions, type Reopened } from "./adapt.js";
export { adaptToFile, checkAdapt, type AdaptOptions } from "./adapt-file.js";
export type { AdaptPlan, AdaptReport, BlockPlan, Change, PatternFacts, Section, Survey, Weight } from "./types.js";
