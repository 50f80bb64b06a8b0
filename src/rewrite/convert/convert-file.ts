import { streamSink, type LibvirtImage } from "../../io/container/libvirt/write.js";
import type { ByteSource } from "../../bytes/source.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import { openOutput, scratchFor } from "../../io/transport/output.js";
import { convertStream } from "./convert.js";
import type { ConvertOptions, ConvertReport } from "./types.js";

/**
 * Converts into a file that appears whole or not at all; `-` is standard output. What has to be kept of the guest's memory
 * lies beside the file meanwhile (in the system's folder for temporary files for `-`). With `image` the file is a libvirt save image
 * (not for `-`).
 */
export async function convertToFile(
  source: ByteSource,
  out: string,
  options: ConvertOptions & StreamOptions,
  image?: LibvirtImage,
): Promise<ConvertReport> {
  const file = openOutput(out);
  try {
    if (image !== undefined) await file.write(image.head);
    const sink = streamSink(image?.format ?? "raw", file);
    const report = await convertStream(source, sink, { ...options, outOffset: image?.head.length }, scratchFor(out));
    await sink.end();
    file.commit();
    return report;
  } finally {
    file.abort();
  }
}
