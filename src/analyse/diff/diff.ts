import { containerName, type Container } from "../../io/container/types.js";
import { isSource, openInput, type StreamInput } from "../../io/container/input.js";
import type { StreamOptions } from "../../codec/stream/index.js";
import { firstDifference } from "./bytes.js";
import { compareContainers } from "./containers.js";
import { compareDevices } from "./devices.js";
import { compareEnds, compareRests } from "./ends.js";
import { compareMemory } from "./memory.js";
import { compareBlocks, compareCommands, compareConfigurations, compareDescriptions } from "./parts.js";
import { scanBorrowing, scanStream, type Scanned } from "./scan.js";
import { compareRecords, compareSections } from "./sections.js";
import { inStream } from "./side.js";
import { readableAgain, type Again } from "../../io/transport/spool.js";
import type { DeviceDiff, Pair, Side, StreamDiff, StreamSummary, Verdict } from "./types.js";

/** How two streams are opened and read. */
export interface DiffOptions extends StreamOptions {
  /** Names or ids of qcow2 snapshots. */
  snapshots?: Partial<Pair<string>>;
  /** Where the streams begin in their inputs, in bytes. Default: they are looked for in the first MiB. */
  offsets?: Partial<Pair<number>>;
}

/**
 * Compares two streams by what a destination would get: each is walked once, and then the pages whose last contents may
 * differ are read from their places. Memory holds the device state of both and 9 bytes a page and stream; what cannot
 * be read again (pipes, decompressors, recordings) is kept in a temporary file until the end.
 *
 * Offsets and lengths are bytes. Sources passed in stay open. Device state that one stream does not describe is read by
 * `schema` or by the other's description.
 *
 * Errors: those of `openInput`, `StreamReader` and page payloads, with the step "stream A" or "stream B" first in their
 * path.
 * @example
 * const { verdict, devices } = await diffStreams("before.mig", "after.mig");
 * console.log(verdict, devices.map(({ section }) => section));
 */
export async function diffStreams(a: StreamInput, b: StreamInput, options: DiffOptions = {}): Promise<StreamDiff> {
  const { snapshots, offsets, ...stream } = options;
  const opened: (() => void | Promise<void>)[] = [];
  const open = async (input: StreamInput, side: Side): Promise<[Again, readonly Container[]]> => {
    const source = await openInput(input, { snapshot: snapshots?.[side], offset: offsets?.[side], stream });
    if (!isSource(input)) opened.push(() => source.close?.());
    const again = readableAgain(source);
    opened.push(() => again.close());
    return [again, source.containers];
  };
  try {
    const inA = await inStream("a", () => open(a, "a"));
    const inB = await inStream("b", () => open(b, "b"));
    let sa = await inStream("a", () => scanStream(...inA, stream));
    let sb = await inStream("b", () => scanStream(...inB, stream));
    sa = await inStream("a", () => scanBorrowing(inA[0], sa, sb, stream));
    sb = await inStream("b", () => scanBorrowing(inB[0], sb, sa, stream));
    return await compare(sa, sb);
  } finally {
    for (const close of opened.toReversed()) await close();
  }
}

async function compare(a: Scanned, b: Scanned): Promise<StreamDiff> {
  const at = await firstDifference({ source: a.source, start: 0 }, { source: b.source, start: 0 });
  const differences = [
    ...(await compareEnds(a, b)),
    ...compareConfigurations(a, b),
    ...compareBlocks(a, b),
    ...compareSections(a, b),
    ...compareRecords(a, b),
    ...(await compareRests(a, b)),
    ...compareCommands(a, b),
    ...compareDescriptions(a, b),
    ...compareContainers(a, b),
  ];
  const ram = await compareMemory(a, b, at === undefined);
  const devices: DeviceDiff[] = [];
  for (const [key, device] of a.devices) {
    const other = b.devices.get(key);
    const diff = other === undefined ? undefined : compareDevices(device, other);
    if (diff !== undefined) devices.push(diff);
  }
  const { different, onlyA, onlyB } = ram.compared;
  const differs =
    devices.length > 0 || different + onlyA + onlyB > 0 || differences.some(({ level }) => level === "meaning");
  const verdict: Verdict = differs ? "different" : at === undefined ? "identical" : "same";
  const firstByte =
    at === undefined
      ? null
      : { streamOffset: { a: start(a) + at, b: start(b) + at }, part: { a: partAt(a, at), b: partAt(b, at) } };
  return { verdict, a: summary(a), b: summary(b), firstByte, differences, ram, devices };
}

function start({ source }: Scanned): number {
  return source.offset ?? 0;
}

/** The section that a byte of the stream is in; null: none, or it is the end. */
function partAt(scanned: Scanned, at: number): string | null {
  const offset = start(scanned) + at;
  const section = scanned.inspection.sections.find(
    (one) => one.streamOffset <= offset && offset < one.streamOffset + one.sectionLength,
  );
  return section === undefined ? null : `section ${section.id} "${section.section}"`;
}

function summary({ containers, inspection, describedBy, diagnostics }: Scanned): StreamSummary {
  const { streamVersion: version, machine, pageSize, complete, streamLength, opaqueBytes, warnings } = inspection;
  return {
    container: containerName(containers),
    streamVersion: version,
    machine,
    pageSize,
    complete,
    streamLength,
    opaqueBytes,
    describedBy,
    warnings,
    passedOver: diagnostics.passedOver,
  };
}
