import type { ByteSink, ByteSource } from "../../bytes/source.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import { planAdapt } from "./plan.js";
import { survey, surveyPattern } from "./survey.js";
import type { AdaptPlan, AdaptReport, Change, PatternFacts, Survey } from "./types.js";
import { writeAdapted } from "./write.js";

/** A stream that can be read more than once. The caller of `open` closes the source. */
export interface Reopened {
  readonly open: () => ByteSource | Promise<ByteSource>;
}

/** How two streams are compared. */
export interface PlanOptions {
  /** Names of rules whose changes are taken although the guest may notice; `all` takes every one. */
  accept?: readonly string[] | undefined;
  /** How the old stream is decoded. */
  stream?: StreamOptions | undefined;
  /** What is known of the destination beside its pattern. */
  facts?: PatternFacts | undefined;
  /** Arguments that the destination needs beside its own: for the XML of a libvirt save image. */
  added?: readonly string[] | undefined;
  /** The survey of the old stream, where it was made before. */
  known?: Survey | undefined;
}

/**
 * Compares an old stream with a pattern: the stream that the destination's QEMU writes when it is saved before its
 * first instruction. Nothing is written. Errors: as `StreamReader`; unsupported (nothing describes the device state).
 */
export async function planStreams(old: Reopened, pattern: Reopened, options: PlanOptions = {}): Promise<AdaptPlan> {
  const mine = options.known ?? (await withSource(old, (source) => survey(source, options.stream ?? {})));
  const theirs = await withSource(pattern, surveyPattern);
  return planAdapt(mine, theirs, options.facts);
}

/**
 * Writes the old stream in the shape of the pattern, if nothing is refused. The sink is not ended. Errors: as
 * `planStreams`.
 */
export async function adaptStream(
  old: Reopened,
  pattern: Reopened,
  sink: ByteSink,
  options: PlanOptions = {},
): Promise<AdaptReport> {
  const plan = await planStreams(old, pattern, options);
  const report = reportOf(plan, options);
  if (!report.enough) return report;
  return { ...report, streamLength: await writePlanned(plan, old, pattern, sink, options) };
}

/**
 * Writes a plan without refusals. The sink is not ended. Returns the number of bytes written. Errors: as `planStreams`.
 */
export async function writePlanned(
  plan: AdaptPlan,
  old: Reopened,
  pattern: Reopened,
  sink: ByteSink,
  { stream = {} }: PlanOptions,
): Promise<number> {
  return await withSource(old, (source) =>
    withSource(pattern, (like) => writeAdapted(plan, source, like, sink, stream)),
  );
}

/** What a plan changes, and what of it is refused. */
export function reportOf({ old, pattern, changes }: AdaptPlan, { accept = [] }: PlanOptions = {}): AdaptReport {
  const refused = changes.filter((change) => isRefused(change, accept));
  return {
    machines: { old: old.machine ?? null, new: pattern.machine ?? null },
    enough: refused.length === 0,
    changes,
    refused,
    warnings: old.diagnostics.warnings,
    passedOver: old.diagnostics.passedOver,
  };
}

function isRefused({ weight, rule }: Change, accept: readonly string[]): boolean {
  if (weight === "never") return true;
  return weight === "guest" && !accept.includes("all") && !accept.includes(rule);
}

/** Does something with a stream and closes it. */
export async function withSource<T>({ open }: Reopened, work: (source: ByteSource) => Promise<T>): Promise<T> {
  const source = await open();
  try {
    return await work(source);
  } finally {
    await source.close?.();
  }
}
