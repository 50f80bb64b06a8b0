/** One stream without its VMDESCRIPTION, by the catalogue: what is right, uncertain, not known, and wrong. */
import { anyElement, isSame, type Catalogue } from "../../src/codec/vmstate/catalogue/index.js";
import { deviceSpans, type DeviceState } from "../../src/codec/vmstate/index.js";
import { devicesOf, valuesOf, type FoundDevice, type Sample } from "./streams.js";

const VERDICTS = ["right", "uncertain", "unknown", "wrong"] as const;
type Verdict = (typeof VERDICTS)[number];

/** Bytes by verdict, and devices by the worst verdict of their bytes. */
export type Tally = Record<Verdict, { devices: number; bytes: number }> & { streams: number };

function none(): { devices: number; bytes: number } {
  return { devices: 0, bytes: 0 };
}

export function noTally(): Tally {
  return { right: none(), uncertain: none(), unknown: none(), wrong: none(), streams: 0 };
}

/** Counts the devices of a sample; one that does not describe itself has no values to compare with, and is left. */
export async function measureSample(
  { name, open }: Sample,
  catalogue: Catalogue,
  tally: Tally,
  say?: (text: string) => void,
): Promise<void> {
  const bytes = open();
  const own = await devicesOf(bytes).catch(() => undefined);
  if (own?.described === undefined) return;
  tally.streams++;
  const { devices } = await devicesOf(bytes.subarray(0, own.described), { catalogue });
  const found = new Map(devices.map((device) => [device.offset, device]));
  for (const { offset, idstr, length, state } of own.devices) {
    const other = found.get(offset);
    if (state === undefined || (other?.state !== undefined && other.catalogue === undefined)) continue;
    const of = compare(state, other, length);
    const worst = (["wrong", "unknown", "uncertain"] as const).find((verdict) => of[verdict] > 0) ?? "right";
    tally[worst].devices++;
    for (const verdict of VERDICTS) tally[verdict].bytes += of[verdict];
    const which = other?.catalogue?.uncertain?.fields.join(" ") ?? "";
    if (worst !== "right")
      say?.(`${worst} ${name}: ${idstr}, ${of[worst]} of ${length} bytes, ${other?.catalogue?.schema ?? "-"} ${which}`);
  }
}

/** Bytes of a device by verdict. */
function compare(state: DeviceState, other: FoundDevice | undefined, length: number): Record<Verdict, number> {
  const of = { right: 0, uncertain: 0, unknown: 0, wrong: 0 };
  const mark = other?.catalogue;
  if (other?.state === undefined || mark === undefined) of.unknown = length;
  else if (mark.uncertain?.fields.length === 0) of.uncertain = length;
  else if (mark.uncertain === undefined && valuesOf(other.state) === valuesOf(state)) of.right = length;
  else {
    const uncertain = new Set(mark.uncertain?.fields);
    const own = new Map(deviceSpans(state, 0, length).map((span) => [span.from, span]));
    for (const span of deviceSpans(other.state, 0, length)) {
      const said = own.get(span.from);
      const bytes = span.to - span.from;
      if (uncertain.has(anyElement(span))) of.uncertain += bytes;
      else if (said !== undefined && isSame(other.state, span, state, said)) of.right += bytes;
      else of.wrong += bytes;
    }
    if (mark.uncertain === undefined && of.wrong === 0) of.wrong = length;
  }
  return of;
}

function share(part: number, all: number): string {
  return `${((100 * part) / Math.max(all, 1)).toFixed(2)} %`;
}

/** The tally as lines. */
export function showTally(tally: Tally): string[] {
  const [devices, bytes] = (["devices", "bytes"] as const).map((of) =>
    VERDICTS.reduce((sum, kind) => sum + tally[kind][of], 0),
  );
  return [
    `${tally.streams} streams`,
    ...VERDICTS.map((kind) => {
      const { devices: n, bytes: size } = tally[kind];
      return `${kind}: ${n} devices (${share(n, devices!)}), ${size} bytes (${share(size, bytes!)})`;
    }),
  ];
}
