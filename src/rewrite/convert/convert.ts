import { QevmError } from "../../bytes/errors.js";
import { flushing } from "../../bytes/flushing.js";
import type { ByteSink, ByteSource } from "../../bytes/source.js";
import { ExactWriter, StreamReader, type StreamItem, type StreamOptions } from "../../codec/stream/index.js";
import { KeepItems, ReencodePages, type ItemConverter } from "./conversion.js";
import { Described } from "./described.js";
import { DeviceChanges } from "./device-changes.js";
import { FlattenRounds } from "./flatten.js";
import { ToMappedRam, withMappedRam } from "./mapped-ram.js";
import { mayHoldXbzrle } from "./scan.js";
import type { ConvertOptions, ConvertReport } from "./types.js";

/**
 * Writes a stream again with other page encodings, in one round, under another machine name, with or without
 * VMDESCRIPTION; all else byte for byte. One pass, and memory is bounded by the buffers: XBZRLE pages and `flatten`
 * need the guest's memory, which is kept in sparse files in the folder `scratch`, made when it is needed and removed
 * afterwards. The sink is not ended.
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
  const { outOffset: start = 0 } = options;
  const writer = new ExactWriter(sink, start);
  const { live } = options;
  const input = live === undefined ? source : flushing(source, writer.file);
  const reader = new StreamReader(input, options);
  const changes = new DeviceChanges(options.values ?? [], "the stream");
  let converter: ItemConverter | undefined;
  const choose = (): ItemConverter => {
    const mapped = reader.capabilities.includes("mapped-ram");
    if (options.to === "mapped-ram" && !mapped) return new ToMappedRam(reader, writer, scratch);
    if (options.flatten === true || (mapped && (reencodes || options.to === "stream"))) {
      return new FlattenRounds(reader, writer, options, scratch);
    }
    if (reencodes) return new ReencodePages(reader, writer, options, remembers ? scratch : undefined);
    return new KeepItems(writer);
  };
  const described = options.addVmdescription === true ? new Described(options.uncertainDevices) : undefined;
  const describe = async (to: ItemConverter): Promise<void> => {
    const item = described?.take(reader.ram.pageSize, reader.offset, reader.diagnostics);
    if (item !== undefined) await to.item(item);
  };
  try {
    for await (const item of reader) {
      if (item.kind === "vmdescription" && (options.dropVmdescription === true || described !== undefined)) continue;
      if (item.kind === "header") {
        await writer.item(item);
        continue;
      }
      // The configuration decides: it names mapped-ram.
      converter ??= choose();
      if (options.machine !== undefined && reader.configuration === undefined) {
        throw new QevmError("usage", "the stream has no configuration section that could name a machine");
      }
      described?.note(item);
      if (item.kind === "trailing") await describe(converter);
      changes.item(item, live !== undefined);
      if (item.kind === "section" && item.content.kind === "device") options.onDevice?.(item);
      if (live !== undefined) live.inRam = item.kind === "section" && item.content.kind === "ram";
      await converter.item(configured(item, options, converter));
      if (live !== undefined) live.inRam = false;
    }
    changes.check();
    converter ??= choose();
    await describe(converter);
    await converter.end();
    await writer.file.flush();
  } finally {
    await converter?.close();
  }
  return {
    machine: reader.configuration === undefined ? null : (options.machine ?? reader.configuration.machine),
    streamLength: { read: reader.offset, written: writer.offset - start },
    pages: { read: converter.pages.in, written: converter.pages.out },
    complete: reader.complete,
    warnings: reader.diagnostics.warnings,
    passedOver: reader.diagnostics.passedOver,
    ...(options.values !== undefined && { notSet: changes.notSet }),
  };
}

/** The configuration with the machine name and the capability that the output has. */
function configured(item: StreamItem, { machine }: ConvertOptions, converter: ItemConverter): StreamItem {
  if (item.kind !== "configuration") return item;
  let { configuration } = item;
  if (machine !== undefined) configuration = { ...configuration, machine };
  if (converter instanceof ToMappedRam) configuration = withMappedRam(configuration, true);
  else if (converter instanceof FlattenRounds) configuration = withMappedRam(configuration, false);
  return { ...item, configuration };
}
