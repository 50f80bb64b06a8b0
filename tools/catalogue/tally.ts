/** One stream without its VMDESCRIPTION, by the catalogue: what is right, uncertain, not known, and wrong. */
import type { Catalogue } from "../../src/codec/vmstate/catalogue/index.js";
import { devicesOf, valuesOf, type Sample } from "./streams.js";

type Verdict = "right" | "uncertain" | "unknown" | "wrong";

/** Devices and their bytes by verdict. */
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
    let verdict: Verdict = "unknown";
    if (other?.state !== undefined) {
      if (other.catalogue?.certain !== true) verdict = "uncertain";
      else verdict = valuesOf(other.state) === valuesOf(state) ? "right" : "wrong";
    }
    tally[verdict].devices++;
    tally[verdict].bytes += length;
    if (verdict !== "right") say?.(`${verdict} ${name}: ${idstr}, ${length} bytes, ${other?.catalogue?.schema ?? "-"}`);
  }
}

function share(part: number, all: number): string {
  return `${((100 * part) / Math.max(all, 1)).toFixed(2)} %`;
}

/** The tally as lines. */
export function showTally(tally: Tally): string[] {
  const kinds = ["right", "uncertain", "unknown", "wrong"] as const;
  const [devices, bytes] = (["devices", "bytes"] as const).map((of) =>
    kinds.reduce((sum, kind) => sum + tally[kind][of], 0),
  );
  return [
    `${tally.streams} streams`,
    ...kinds.map((kind) => {
      const { devices: n, bytes: size } = tally[kind];
      return `${kind}: ${n} devices (${share(n, devices!)}), ${size} bytes (${share(size, bytes!)})`;
    }),
  ];
}
