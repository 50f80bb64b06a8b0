import { join } from "node:path";
import { streamSink, type LibvirtImage } from "../../io/container/libvirt/write.js";
import { FileSource } from "../../io/transport/file.js";
import { openOutput, scratchFor } from "../../io/transport/output.js";
import { temporaryFolder } from "../../io/transport/temporary.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import { convertToFile } from "../convert/convert-file.js";
import { planStreams, reportOf, withSource, writePlanned, type AdaptOptions, type Reopened } from "./adapt.js";
import type { AdaptPlan, AdaptReport } from "./types.js";

/**
 * Adapts into a file that appears whole or not at all, if nothing is refused; `-` is standard output. Pages that are
 * compressed or at fixed places are made plain pages on the way, which takes a file of the guest's memory beside the
 * output. With `image` the file is a libvirt save image. Errors: as `planStreams`, `openOutput`.
 */
export async function adaptToFile(
  old: Reopened,
  pattern: Reopened,
  out: string,
  options: AdaptOptions & { image?: ((plan: AdaptPlan) => LibvirtImage | undefined) | undefined } = {},
): Promise<AdaptReport> {
  const plan = await planStreams(old, pattern, options);
  const report = reportOf(plan, options);
  if (!report.enough) return report;
  const image = options.image?.(plan);
  const file = openOutput(out);
  const folder = temporaryFolder(scratchFor(out), "qevm-adapt");
  try {
    if (image !== undefined) await file.write(image.head);
    const sink = streamSink(image?.format ?? "raw", file);
    const plain = await plainPages(plan, old, join(folder.path, "plain"), options.stream ?? {});
    const bytes = await writePlanned(plan, plain, pattern, sink, options);
    await sink.end();
    file.commit();
    return { ...report, bytes };
  } finally {
    file.abort();
    folder.remove();
  }
}

/** The old stream with plain pages. */
async function plainPages(plan: AdaptPlan, old: Reopened, path: string, options: StreamOptions): Promise<Reopened> {
  const { compressed, mapped } = plan.old;
  if (!compressed && !mapped) return old;
  await withSource(old, (source) =>
    convertToFile(source, path, { ...options, ram: "normal", ...(mapped ? { to: "stream" } : {}) }),
  );
  return { open: () => FileSource.open(path) };
}
