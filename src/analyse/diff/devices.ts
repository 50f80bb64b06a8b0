import { QemuFileWriter } from "../../bytes/index.js";
import { encodeDevice, pathOf, type DeviceState } from "../../codec/vmstate/index.js";
import { byteRanges } from "./bytes.js";
import type { ScannedDevice } from "./scan.js";
import type { DeviceDiff, FieldDifference, Pair } from "./types.js";
import { compareStructs, type Found, type Steps } from "./values.js";

/** Compares the state of a device that both streams have; undefined: it is the same. */
export function compareDevices(a: ScannedDevice, b: ScannedDevice): DeviceDiff | undefined {
  const fields = fieldsOf(a, b);
  if (fields.length === 0) return undefined;
  return { section: a.idstr, instance: a.instanceId, streamOffset: { a: a.offset, b: b.offset }, fields };
}

function fieldsOf(a: ScannedDevice, b: ScannedDevice): FieldDifference[] {
  if (a.content.kind === "device" && b.content.kind === "device") {
    const found: Found[] = [];
    compareStructs(a.content.state, b.content.state, [], found);
    if (found.length === 0) return [];
    const places = { a: new Places(a, a.content.state, found), b: new Places(b, b.content.state, found) };
    return found.map((one) => placed(one, places));
  }
  if (a.content.kind === "opaque" && b.content.kind === "opaque") {
    const ranges = byteRanges(a.content.bytes, b.content.bytes);
    if (ranges.length === 0) return [];
    const length = { a: a.content.bytes.length, b: b.content.bytes.length };
    const offset = { a: a.payloadOffset, b: b.payloadOffset };
    return [{ field: "(not decoded)", streamOffset: offset, kind: "bytes", length, ranges }];
  }
  const offset = { a: a.payloadOffset, b: b.payloadOffset };
  return [{ field: "(form)", streamOffset: offset, kind: "type", a: form(a), b: form(b) }];
}

function form({ content }: ScannedDevice): string {
  return content.kind === "device" ? "decoded" : "not decoded";
}

function placed({ steps, ...found }: Found, { a, b }: Pair<Places>): FieldDifference {
  const inA = found.kind !== "only" || found.side === "a";
  const inB = found.kind !== "only" || found.side === "b";
  const offset = { a: inA ? a.of(steps) : null, b: inB ? b.of(steps) : null };
  return { field: pathOf(steps), streamOffset: offset, ...found };
}

/** Where the values of a device are, found by encoding it again. */
class Places {
  private readonly offsets = new Map<string, number>();
  private readonly start: number;

  constructor(device: ScannedDevice, state: DeviceState, found: readonly Found[]) {
    this.start = device.payloadOffset;
    const wanted = new Set<string>();
    for (const { steps } of found) for (let n = 1; n <= steps.length; n++) wanted.add(keyOf(steps.slice(0, n)));
    const writer = new QemuFileWriter({ write: () => undefined }, undefined, this.start);
    encodeDevice(writer, state, (path, offset) => {
      const key = keyOf(path.slice(1));
      if (wanted.has(key)) this.offsets.set(key, offset);
    });
  }

  /** Of the value, or of the nearest that it is a part of and whose place is known. */
  of(steps: Steps): number {
    for (let n = steps.length; n > 0; n--) {
      const found = this.offsets.get(keyOf(steps.slice(0, n)));
      if (found !== undefined) return found;
    }
    return this.start;
  }
}

function keyOf(steps: Steps): string {
  return steps.join("\0");
}
