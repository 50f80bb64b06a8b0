import { QevmError } from "../errors.js";
import type { ByteSink, ByteSource } from "../qemu-file/source.js";
import { ExactWriter, StreamReader, type StreamItem, type StreamOptions } from "../stream/index.js";
import { KeepItems, ReencodePages, type ItemConverter } from "./conversion.js";
import { FlattenRounds } from "./flatten.js";
import { mayHoldXbzrle } from "./scan.js";
import type { ConvertOptions, ConvertReport } from "./types.js";

/**
 * Writes a stream again with other page encodings, in one round, under another machine name, or without VMDESCRIPTION; all else byte
 * for byte. One pass, and memory is bounded by the buffers: XBZRLE pages and `flatten` need the guest's memory, which is kept in
 * sparse files in the folder `scratch`, made when it is needed and removed afterwards. The sink is not ended.
 * Errors: as `StreamReader`; usage, bad-compressed-data, bad-xbzrle.
 */
export async function convertStream(
  source: ByteSource,
  sink: ByteSink,
  options: ConvertOptions & StreamOptions,
  scratch: string,
): Promise<ConvertReport> {
  const reencodes = options.ram === "normal" || options.ram === "zlib";
  const remembers = reencodes && options.flatten !== true && (await mayHoldXbzrle(source, options));
  const reader = new StreamReader(source, options);
  const writer = new ExactWriter(sink);
  let converter: ItemConverter;
  if (options.flatten === true) converter = new FlattenRounds(reader, writer, options, scratch);
  else if (reencodes) converter = new ReencodePages(reader, writer, options, remembers ? scratch : undefined);
  else converter = new KeepItems(writer);
  try {
    for await (const item of reader) {
      if (item.kind === "vmdescription" && options.dropVmdescription === true) continue;
      await converter.item(renamed(item, options));
    }
    if (options.machine !== undefined && reader.configuration === undefined) {
      throw new QevmError("usage", "the stream has no configuration section that could name a machine");
    }
    await converter.end();
    await writer.file.flush();
  } finally {
    await converter.close();
  }
  return {
    machine: reader.configuration === undefined ? null : (options.machine ?? reader.configuration.machine),
    bytes: { in: reader.offset, out: writer.offset },
    pages: converter.pages,
    complete: reader.complete,
  };
}

function renamed(item: StreamItem, { machine }: ConvertOptions): StreamItem {
  if (item.kind !== "configuration" || machine === undefined) return item;
  return { ...item, configuration: { ...item.configuration, machine } };
}
