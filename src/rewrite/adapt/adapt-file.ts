import { join } from "node:path";
import type { StreamOptions } from "../../codec/stream/index.js";
import { readingOf, type OpenOptions, type StreamInput } from "../../io/container/input.js";
import { libvirtImage, streamSink, type LibvirtImage } from "../../io/container/libvirt/write.js";
import type { Input } from "../../io/container/types.js";
import { FileSource } from "../../io/transport/file.js";
import { openOutput, scratchFor } from "../../io/transport/output.js";
import { temporaryFolder } from "../../io/transport/temporary.js";
import { convertToFile } from "../convert/convert-file.js";
import { planStreams, reportOf, withSource, writePlanned, type PlanOptions, type Reopened } from "./adapt.js";
import { withReopened } from "./reopened.js";
import type { AdaptPlan, AdaptReport, PatternFacts } from "./types.js";

/** How a guest is adapted, and how its old stream is opened and read. */
export interface AdaptOptions extends OpenOptions {
  /** Names of rules whose changes are taken although the guest may notice; `all` takes every one. */
  accept?: readonly string[] | undefined;
  /** What is known of the destination beside its pattern: see `askPattern`. */
  facts?: PatternFacts | undefined;
  /** Arguments that the destination needs beside its own (`askPattern`): for the XML of a libvirt save image. */
  added?: readonly string[] | undefined;
}

/**
 * Writes a guest that another QEMU or machine type saved in the form that the destination takes, into a file that
 * appears whole or not at all, if nothing is refused; `-` is standard output. The pattern is what the destination saves
 * before its first instruction: `askPattern` has it made. Two passes over both; what cannot be opened twice is kept in a
 * file for the time, and so are pages at fixed places. A libvirt save image stays one. A source
 * that was given stays open.
 * Errors: as `openInput` and `StreamReader`; unsupported (nothing describes the device state); io.
 * @example
 * const pattern = await askPattern(["qemu-system-x86_64", "-machine", "pc", "-m", "1G"], "pc-i440fx-2.8");
 * const report = await adaptToFile("old.mig", pattern.path, "new.mig", { facts: pattern.facts });
 * for (const { where, reason, rule } of report.refused) console.log(where, reason, `accept: ["${rule}"]`);
 * pattern.remove();
 */
export async function adaptToFile(
  old: StreamInput,
  pattern: StreamInput,
  out: string,
  options: AdaptOptions = {},
): Promise<AdaptReport> {
  return await withBoth(old, pattern, options, (mine, like, plan) => adaptReopened(mine, like, out, plan));
}

/** As `adaptToFile`, but nothing is written: what would be changed, and what is refused. Errors: as there. */
export async function checkAdapt(
  old: StreamInput,
  pattern: StreamInput,
  options: AdaptOptions = {},
): Promise<AdaptReport> {
  return await withBoth(old, pattern, options, (mine, like, plan) => adaptReopened(mine, like, undefined, plan));
}

async function withBoth<T>(
  old: StreamInput,
  pattern: StreamInput,
  { accept, facts, added, ...opening }: AdaptOptions,
  work: (old: Reopened, pattern: Reopened, options: PlanOptions) => Promise<T>,
): Promise<T> {
  const options = { accept, facts, added, stream: readingOf(opening) };
  return await withReopened(old, opening, (mine) => withReopened(pattern, {}, (like) => work(mine, like, options)));
}

/** Writes what is not refused; without `out` nothing. Errors: as `adaptToFile`. */
export async function adaptReopened(
  old: Reopened,
  pattern: Reopened,
  out: string | undefined,
  options: PlanOptions,
): Promise<AdaptReport> {
  const plan = await planStreams(old, pattern, options);
  const report = reportOf(plan, options);
  if (!report.enough || out === undefined) return report;
  const image =
    out === "-"
      ? undefined
      : await withSource(
          old,
          async (source) => await Promise.resolve(imageOf(source as Partial<Input>, plan, options.added)),
        );
  const file = openOutput(out);
  const folder = temporaryFolder(scratchFor(out), "qevm-adapt");
  try {
    if (image !== undefined) await file.write(image.head);
    const sink = streamSink(image?.format ?? "raw", file);
    const plain = await asStream(plan, old, join(folder.path, "plain"), options.stream ?? {});
    const bytes = await writePlanned(plan, plain, pattern, sink, options);
    await sink.end();
    file.commit();
    return { ...report, streamLength: bytes };
  } finally {
    file.abort();
    folder.remove();
  }
}

/** The head of a libvirt save image, where the old stream is in one. */
function imageOf(
  { containers }: Partial<Input>,
  plan: AdaptPlan,
  added: readonly string[] | undefined,
): LibvirtImage | undefined {
  const kept = containers?.find((container) => container.kind === "libvirt");
  if (kept === undefined) return undefined;
  // A sparse image holds pages at fixed places: the adapted stream is a plain one.
  const format = kept.format === "sparse" ? "raw" : undefined;
  return libvirtImage(kept, { machine: plan.pattern.machine, format, arguments: added });
}

/** The old stream without pages at fixed places. */
async function asStream(plan: AdaptPlan, old: Reopened, path: string, options: StreamOptions): Promise<Reopened> {
  if (!plan.old.mapped) return old;
  await withSource(old, (source) => convertToFile(source, path, { ...options, to: "stream" }));
  return { open: () => FileSource.open(path) };
}
