/** Streams to learn the catalogue from and to measure it on: the corpus, and folders of `tools/catalogue/sweep.ts`. */
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { MemorySource } from "../../src/bytes/index.js";
import { QevmError } from "../../src/bytes/errors.js";
import { StreamReader, type CatalogueMark, type StreamOptions } from "../../src/codec/stream/index.js";
import { deviceToPlain, type DeviceState } from "../../src/codec/vmstate/index.js";
import { Learner, type CatalogueData } from "../../src/codec/vmstate/catalogue/index.js";
import { listCorpus } from "../corpus.js";

/** A stream of a known QEMU. */
export interface Sample {
  readonly name: string;
  /** Target and version of QEMU: `x86_64 7.2`. */
  readonly origin: string;
  readonly open: () => Uint8Array;
}

/** The corpus. */
export function corpusSamples(): Sample[] {
  return listCorpus().map(({ name, capture, open }) => ({
    name: `corpus/${name}`,
    origin: `${basename(capture.command.at(0) ?? "").replace("qemu-system-", "")} ${capture.version}`,
    open,
  }));
}

/** What a sweep saved, in the folders of its QEMUs. */
export function sweepSamples(folder: string): Sample[] {
  return readdirSync(folder)
    .toSorted()
    .flatMap((qemu) =>
      readdirSync(join(folder, qemu))
        .toSorted()
        .filter((name) => name.endsWith(".mig"))
        .map((name) => ({
          name: `${qemu}/${name}`,
          origin: qemu.replace(/-(?=[\d.]+$)/u, " "),
          open: () => readFileSync(join(folder, qemu, name)),
        })),
    );
}

/** A device as a stream has it. */
export interface FoundDevice {
  readonly offset: number;
  readonly idstr: string;
  /** Bytes of its payload. */
  readonly length: number;
  readonly state: DeviceState | undefined;
  /** Read by the catalogue. */
  readonly catalogue: CatalogueMark | undefined;
}

/** The devices of a stream, and where its VMDESCRIPTION begins; undefined: it has none. */
export async function devicesOf(
  bytes: Uint8Array,
  options: StreamOptions = {},
): Promise<{ devices: FoundDevice[]; described: number | undefined; opaque: number }> {
  const reader = new StreamReader(new MemorySource(bytes), { unreached: "count", lenient: true, ...options });
  const devices: FoundDevice[] = [];
  let described: number | undefined;
  let opaque = 0;
  for await (const item of reader) {
    if (item.kind === "vmdescription") described = item.offset;
    if (item.kind === "opaque") for await (const chunk of item.chunks()) opaque += chunk.length;
    if (item.kind !== "section" || item.type !== "full") continue;
    const { idstr, offset, content } = item;
    const base = { offset, idstr, catalogue: undefined };
    if (content.kind === "device") {
      const { state, length, catalogue } = content;
      devices.push({ ...base, length, state, catalogue });
    } else if (content.kind === "opaque") {
      opaque += content.bytes.length;
      devices.push({ ...base, length: content.bytes.length, state: undefined });
    }
  }
  return { devices, described, opaque };
}

/** Learns all samples that describe themselves; returns the names of those that could not be read. */
export async function learnFrom(samples: readonly Sample[], known?: CatalogueData): Promise<CatalogueData> {
  const learner = new Learner(known);
  for (const { name, origin, open } of samples) {
    try {
      const { devices, described } = await devicesOf(open());
      if (described === undefined) continue;
      for (const { state } of devices) if (state !== undefined) learner.add(state.description, origin, state);
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      console.log(`not learnt: ${name}: ${error.message}`);
    }
  }
  return learner.data();
}

/** The values of a device, for comparison. */
export function valuesOf(state: DeviceState): string {
  return JSON.stringify(deviceToPlain(state));
}
