import type { QemuFileReader } from "../../../bytes/index.js";
import type { DecodeDeviceOptions } from "../device.js";
import type { Book, CatalogueData, Layout } from "./data.js";
import { fitLayouts, type Fits } from "./fit.js";
import { inheritedOrigins } from "./inherit.js";
import type { LentSection } from "../schema.js";

/**
 * Layouts of device state for streams that do not describe themselves. Which of them a section has is found by its
 * bytes.
 */
export class Catalogue {
  /** A target and a version of QEMU each, `x86_64 7.2`. Bits of origins are indices of this list. */
  readonly origins: readonly string[];
  private readonly books: readonly Book[];

  /** @param data one or more; layouts of all of them are tried */
  constructor(...data: readonly CatalogueData[]) {
    const origins = [...new Set(data.flatMap((one) => one.origins))];
    this.origins = origins;
    this.books = data.map((one) => bookOf(one, origins));
  }

  /** Number of devices that are known. */
  get size(): number {
    return new Set(this.books.flatMap(({ devices }) => [...devices.keys()])).size;
  }

  /** The name of the vmsd (or old-style handler) of a section, where it is known. */
  nameOf(idstr: string): string | undefined {
    // An idstr is the vmsd's name, after the path of its bus where it has one.
    for (let at = -1; ;) {
      const name = idstr.slice(at + 1);
      if (this.books.some(({ devices }) => devices.has(name))) return name;
      at = idstr.indexOf("/", at + 1);
      if (at < 0) return undefined;
    }
  }

  /** Origins that know the device at all, in any version; as bits. */
  knownBy(idstr: string): bigint {
    const name = this.nameOf(idstr);
    let from = 0n;
    for (const { devices } of name === undefined ? [] : this.books) {
      for (const layout of devices.get(name!) ?? []) from |= layout.from;
    }
    return from;
  }

  /** Every device with the origins of its layouts, by name. */
  list(): { name: string; versions: number[]; layouts: number; origins: string[] }[] {
    const found = new Map<string, Layout[]>();
    for (const { devices } of this.books) {
      for (const [name, layouts] of devices) found.set(name, [...(found.get(name) ?? []), ...layouts]);
    }
    return [...found]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, layouts]) => ({
        name,
        versions: [...new Set(layouts.map(({ version }) => version ?? 0))].toSorted((a, b) => a - b),
        layouts: layouts.length,
        origins: this.namesOf(layouts.reduce((bits, { from }) => bits | from, 0n)),
      }));
  }

  /** The names of origins given as bits. */
  namesOf(from: bigint): string[] {
    return this.origins.filter((_, bit) => ((from >> BigInt(bit)) & 1n) === 1n);
  }

  /**
   * Every layout that fits the payload of a FULL section at the reader, which is after the section's header. All of
   * it must be in the reader's buffer. The reader's position is unchanged afterwards.
   * @param options.endsAt whether a section can end at this absolute offset
   * @param options.last the last such offset, where it is known
   */
  fit(
    reader: QemuFileReader,
    { idstr, instanceId, versionId }: LentSection,
    options: DecodeDeviceOptions & { endsAt: (offset: number) => boolean; last?: number },
  ): Fits {
    const name = this.nameOf(idstr);
    let failure: Fits["failure"];
    const fits: Fits["fits"][number][] = [];
    let exhausted = true;
    for (const book of name === undefined ? [] : this.books) {
      const known = book.devices.get(name!) ?? [];
      const layouts = known.filter(({ version }) => version === undefined || version === versionId);
      const found = fitLayouts(reader, book, { name: idstr, instanceId, layouts }, options);
      fits.push(...found.fits);
      exhausted &&= found.exhausted;
      failure ??= found.failure;
    }
    return { fits, exhausted, failure };
  }
}

function bookOf(data: CatalogueData, origins: readonly string[]): Book {
  const bits = data.origins.map((origin) => 1n << BigInt(origins.indexOf(origin)));
  const from = inheritedOrigins(data);
  const layouts = data.layouts.map(({ name, version, fields }, id): Layout => {
    const own = from[id]!;
    const all = bits.reduce((found, bit, index) => ((own >> BigInt(index)) & 1n ? found | bit : found), 0n);
    return { name, version, from: all, fields };
  });
  const table = (lists: Readonly<Record<string, number[]>>): Map<string, Layout[]> =>
    new Map(Object.entries(lists).map(([name, ids]) => [name, ids.map((id) => layouts[id]!)]));
  return { layouts, devices: table(data.devices), subsections: table(data.subsections) };
}
