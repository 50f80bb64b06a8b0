import { streamSink, type LibvirtImage } from "../../io/container/libvirt/write.js";
import { withInput, type OpenOptions, type StreamInput } from "../../io/container/input.js";
import { openOutput, scratchFor } from "../../io/transport/output.js";
import { convertStream } from "./convert.js";
import type { ConvertOptions, ConvertReport } from "./types.js";

/**
 * Converts into a file that is written atomically; `-` is standard output. What has to be kept of the guest's
 * memory is kept next to the file meanwhile (in the system's folder for temporary files for `-`). With `image` the file
 * is a libvirt save image (not for `-`). Errors: as `openInput` and `convertStream`; io. A source that was given stays
 * open.
 * @example
 * const { pages, streamLength } = await convertToFile("old.mig", "new.mig", { ram: "normal" });
 * console.log(pages.read.compressed, streamLength.written);
 */
export async function convertToFile(
  input: StreamInput,
  out: string,
  options: ConvertOptions & OpenOptions,
  image?: LibvirtImage,
): Promise<ConvertReport> {
  const file = openOutput(out);
  try {
    if (image !== undefined) await file.write(image.head);
    const sink = streamSink(image?.format ?? "raw", file);
    const report = await withInput(input, options, async (source, reading) => {
      return await convertStream(source, sink, { ...reading, outOffset: image?.head.length }, scratchFor(out));
    });
    await sink.end();
    file.commit();
    return report;
  } finally {
    file.abort();
  }
}
