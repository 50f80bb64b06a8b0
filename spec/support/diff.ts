/** Makes streams for the chapter on comparing, and reads the results. */
import { diffStreams, type PartDifference, type StreamDiff } from "../../src/analyse/diff/index.js";
import { MemorySink } from "../../src/bytes/index.js";
import { createStreamWriter, type StreamItem } from "../../src/codec/stream/index.js";
import { deviceFromPlain, parseVmDescription, type PlainValue } from "../../src/codec/vmstate/index.js";
import { rewrite } from "./rewrite.js";

/** Bytes per page. */
export const PAGE = 4096;

/** `part name` of what differs, at one level. */
export const named = (diff: StreamDiff, level: PartDifference["level"]): string[] =>
  diff.differences.filter((one) => one.level === level).map(({ part, subject: name }) => `${part} ${name}`);

/** The differences that one change of a stream causes. */
export async function told(bytes: Uint8Array, change: (item: StreamItem) => StreamItem | readonly StreamItem[]) {
  return await diffStreams(bytes, await rewrite(bytes, change));
}

/** A generated stream with blocks and one device. */
export async function made(
  blocks: readonly [string, number, number?][],
  fields: readonly object[] | string,
  values: Record<string, PlainValue>,
  more: { subsections?: object[]; pageSize?: number } = {},
): Promise<Uint8Array> {
  const sink = new MemorySink();
  const { pageSize = 4096, subsections } = more;
  const writer = createStreamWriter(sink, { machine: "none", pageSize });
  const begun = writer.ram.blocks(blocks.map(([idstr, usedLength]) => ({ idstr, usedLength })));
  for (const [i, [, usedLength, fill = 0]] of blocks.entries()) {
    for (let at = 0; at < usedLength; at += pageSize) {
      await writer.ram.page(begun[i]!, at, new Uint8Array(pageSize).fill(fill));
    }
  }
  writer.ram.end();
  const device = {
    name: "thing",
    instance_id: 0,
    vmsd_name: "thing",
    version: 1,
    fields,
    ...(subsections && { subsections }),
  };
  const json = JSON.stringify({ page_size: pageSize, devices: [device] });
  const { devices } = parseVmDescription(
    typeof fields === "string" ? json.replace(JSON.stringify(fields), fields) : json,
  );
  const plain = { fields: values, subsections: {} as Record<string, PlainValue> };
  if ("subsections" in values) {
    plain.subsections = values["subsections"] as Record<string, PlainValue>;
    delete plain.fields["subsections"];
  }
  await writer.device({ state: deviceFromPlain(devices[0]!, plain), versionId: 1 });
  await writer.finish();
  return sink.bytes();
}

/** A field of it. */
export const u32 = { name: "n", type: "uint32", size: 4 };
