import { QevmError } from "../../bytes/errors.js";
import type { QemuFileReader } from "../../bytes/reader.js";
import { latin1 } from "../../bytes/reader.js";
import { isZero } from "../../bytes/zero.js";
import { decodeDevice, deviceToPlain, type DeviceDescription, type DeviceState } from "../vmstate/index.js";
import {
  disagreement,
  writersOf,
  type Catalogue,
  type CatalogueFit,
  type Writers,
} from "../vmstate/catalogue/index.js";
import { isCommandHead } from "./command.js";
import type { UncertainFields } from "./items.js";
import { deviceLimits, type StreamLimits } from "./limits.js";
import { HEADER, LATEST_VERSION } from "./section.js";
import { TypeByte } from "./types.js";

/** What the catalogue has for one section. */
export interface Surveyed {
  /** Absolute offset of the first byte after its payload. */
  end: number;
  /** Undefined: no layout fits. */
  description?: DeviceDescription;
  /** `catalogue 7.2, 10.0`: the versions of QEMU whose layout it is. */
  schema: string;
  /** Further layouts that fit and give other values. */
  others: number;
  /** Undefined: all that fit agree, and a QEMU that may have written this stream is known to have such a layout. */
  uncertain?: UncertainFields;
}

/** The stream around the sections that are surveyed. */
interface SurveyPlace {
  /** Whether sections have footers; undefined: not known yet. */
  footers: boolean | undefined;
  /** Absolute offset of the end of the package that the sections are in. */
  packageEnd: number | undefined;
  /** Machine type of the configuration. */
  machine: string | undefined;
  limits: StreamLimits;
}

/** A section while it is surveyed. */
interface Found {
  idstr: string;
  /** Absolute offset of its payload. */
  payload: number;
  end: number;
  /** Those that give different values. */
  fits: readonly CatalogueFit[];
  exhausted: boolean;
  /**
   * Any bytes would fit in these ways, or the section may end elsewhere: nothing is certain, and nobody is ruled out.
   */
  guessed: boolean;
}

/** A layout with the absolute offset at which it ends. */
type Ending = CatalogueFit & { readonly end: number };

const FOOTER = 5;
/** Bytes of a command before its payload. */
const COMMAND = 5;

/**
 * Reads on over the sections that are in the reader's buffer, from the FULL header at its position, and finds which
 * layouts of the catalogue they have: by absolute offset of their payload. Where several fit one section, those of QEMU
 * versions that another section rules out do not count. The reader's position is unchanged afterwards.
 */
export function surveyDevices(reader: QemuFileReader, catalogue: Catalogue, place: SurveyPlace): Map<number, Surveyed> {
  const walk = new Survey(reader, catalogue, place);
  const start = reader.position;
  try {
    walk.run();
  } finally {
    reader.position = start;
  }
  return walk.result();
}

class Survey {
  private readonly found: Found[] = [];
  private footers: boolean | undefined;

  constructor(
    private readonly reader: QemuFileReader,
    private readonly catalogue: Catalogue,
    private readonly place: SurveyPlace,
  ) {
    this.footers = place.footers;
  }

  run(): void {
    const { reader } = this;
    const stop = this.place.packageEnd ?? Infinity;
    while (reader.offset < stop) {
      const type = reader.peek();
      if (type === TypeByte.COMMAND) {
        const length = (reader.peek(3) << 8) | reader.peek(4);
        if (length < 0 || reader.available < COMMAND + length) return;
        reader.skip(COMMAND + length);
      } else if (type !== TypeByte.SECTION_FULL || !this.section()) {
        return;
      }
    }
  }

  /** One FULL section with its footer; whether its end was found. */
  private section(): boolean {
    const { reader, catalogue, place } = this;
    const idstr = this.nameAt(0);
    if (idstr === undefined) return false;
    reader.skip(1);
    const sectionId = reader.u32();
    reader.skip(1 + idstr.length);
    const header = { idstr, instanceId: reader.u32(), versionId: reader.u32() };
    const payload = reader.offset;
    const endsAt = (offset: number): boolean => this.endsAt(offset - reader.offset, sectionId);
    const last = this.lastEnd(sectionId);
    const { fits, exhausted } = catalogue.fit(reader, header, { endsAt, last, ...deviceLimits(place.limits) });
    const found = this.readings(fits, endsAt);
    const end = found?.end ?? this.searchEnd(sectionId);
    if (end === undefined) return false;
    const guessed = found?.guessed ?? false;
    this.found.push({ idstr, payload, end, exhausted, guessed, fits: found?.fits ?? [] });
    reader.skip(end - payload);
    const footer = reader.peek() === TypeByte.SECTION_FOOTER;
    this.footers ??= footer;
    if (footer) reader.skip(FOOTER);
    return true;
  }

  /** Those of the layouts by which the section can be decoded: one for each result. Undefined: none. */
  private readings(
    fits: readonly CatalogueFit[],
    endsAt: (offset: number) => boolean,
  ): Pick<Found, "fits" | "end" | "guessed"> | undefined {
    const { reader, place } = this;
    const start = reader.position;
    const seen = new Map<string, Ending>();
    for (const fit of fits) {
      try {
        const state = decodeDevice(reader, fit.description, { endsAt, ...deviceLimits(place.limits) });
        const end = reader.offset;
        const plain = fits.length === 1 ? "" : `${end} ${JSON.stringify(deviceToPlain(state))}`;
        const same = seen.get(plain) ?? { ...fit, from: 0n, may: 0n, end };
        seen.set(plain, { ...same, from: same.from | fit.from, may: same.may | fit.may });
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
      } finally {
        reader.position = start;
      }
    }
    return this.oneEnd([...seen.values()]);
  }

  /**
   * Without footers layouts may end at several places. Where the name of a device or a command follows, the section
   * ends; zeros up to the end of the stream may as well be its own, or those of sections that a longer layout takes in.
   * With zeros only the last place counts, since QEMU writes nothing after them, and nothing is certain.
   */
  private oneEnd(found: readonly Ending[]): Pick<Found, "fits" | "end" | "guessed"> | undefined {
    if (found.length === 0) return undefined;
    const sure = found.filter(({ end }) => !this.isZeroEnd(end));
    const ends = new Set((sure.length > 0 ? sure : found).map((fit) => fit.end));
    const end = sure.length > 0 ? Math.min(...ends) : Math.max(...ends);
    const fits = found.filter((fit) => fit.end === end);
    return { fits, end, guessed: ends.size > 1 || fits.every((fit) => fit.guessed === true) };
  }

  /** Whether only zeros say that a section ends at this absolute offset. */
  private isZeroEnd(end: number): boolean {
    const { reader, place } = this;
    return end !== place.packageEnd && this.footers !== true && reader.peek(end - reader.offset) === TypeByte.EOF;
  }

  /** What each section comes to, when all were found. */
  result(): Map<number, Surveyed> {
    const { catalogue, found, place } = this;
    const evidence = found.map(({ idstr, fits, guessed }) => ({
      has: guessed ? 0n : originsIn(fits),
      may: fits.reduce((bits, { may }) => bits | may, 0n),
      knows: catalogue.knownBy(idstr),
    }));
    const writers = writersOf(catalogue.origins, evidence, place.machine);
    return new Map(found.map((section) => [section.payload, this.judge(section, writers)]));
  }

  private judge({ idstr, payload, end, fits, exhausted, guessed }: Found, { possible, near }: Writers): Surveyed {
    const { catalogue } = this;
    const possibly = fits.filter(({ from }) => (from & possible) !== 0n);
    const left = possibly.length > 0 ? possibly : fits;
    const [first] = left;
    const all = originsIn(left);
    const origins = catalogue.namesOf((all & possible) === 0n ? all : all & possible);
    const schema = origins.length === 0 ? "catalogue" : `catalogue ${origins.join(", ")}`;
    if (first === undefined) return { end, schema, others: 0 };
    // A QEMU that is not in the catalogue: only what all that are in it, and more than one, have in common.
    const isCommon = all === catalogue.knownBy(idstr) && (all & (all - 1n)) !== 0n;
    // A field may have been renamed in any release between two of the catalogue.
    const compared = [...left, ...fits.filter((fit) => !left.includes(fit) && (fit.from & near) !== 0n)];
    const result = { end, description: first.description, schema, others: compared.length - 1 };
    if (!exhausted || guessed || first.guessed === true || (possibly.length === 0 && !isCommon)) {
      return { ...result, uncertain: { fields: [], bytes: end - payload } };
    }
    if (compared.length === 1) return result;
    const states = compared.map(({ description }) => this.decode(payload, description));
    const uncertain = disagreement(states, payload, end - payload);
    // They differ in what takes no bytes.
    if (uncertain.bytes === 0) return { ...result, uncertain: { fields: [], bytes: end - payload } };
    return { ...result, uncertain };
  }

  private decode(payload: number, description: DeviceDescription): DeviceState {
    const { reader, place } = this;
    const start = reader.position;
    reader.position = start + payload - reader.offset;
    try {
      return decodeDevice(reader, description, deviceLimits(place.limits));
    } finally {
      reader.position = start;
    }
  }

  private endsAt(ahead: number, sectionId: number): boolean {
    const { reader, footers } = this;
    if (reader.peek(ahead) === TypeByte.SECTION_FOOTER && footers !== false) {
      return this.idAt(ahead + 1) === sectionId && this.follows(ahead + FOOTER);
    }
    return footers !== true && this.follows(ahead);
  }

  /** Whether what can follow a section follows: strict, where no footer precedes it. */
  private follows(ahead: number): boolean {
    const { reader, place } = this;
    if (reader.offset + ahead === place.packageEnd) return true;
    switch (reader.peek(ahead)) {
      case -1:
        // A file that was cut after a footer.
        return this.footers === true;
      case TypeByte.SECTION_FULL: {
        const idstr = this.nameAt(ahead);
        // A file that was cut inside the next header.
        if (this.footers === true && this.isCutHeader(ahead)) return true;
        return idstr !== undefined && (this.footers === true || this.catalogue.nameOf(idstr) !== undefined);
      }
      case TypeByte.COMMAND:
        return isCommandHead(this.u16At(ahead + 1), this.u16At(ahead + 3));
      case TypeByte.EOF:
        return place.packageEnd === undefined && (this.footers === true || this.isEnd(ahead + 1));
      default:
        return false;
    }
  }

  private isCutHeader(ahead: number): boolean {
    const { reader } = this;
    const n = reader.peek(ahead + FOOTER);
    return n < 0 || (n > 0 && reader.available < ahead + HEADER + n);
  }

  /** Nothing, a VMDESCRIPTION, or zeros follow. */
  private isEnd(ahead: number): boolean {
    const { reader } = this;
    if (reader.peek(ahead) === TypeByte.VMDESCRIPTION) return reader.peek(ahead + 5) === 0x7b;
    const rest = reader.buffer.subarray(reader.position + ahead, reader.end);
    return isZero(rest);
  }

  /** Where the last footer of a section is; without footers its end may be anywhere. */
  private lastEnd(sectionId: number): number {
    const { reader, footers } = this;
    if (footers !== true) return Infinity;
    const { buffer, position, end } = reader;
    for (let at = end - FOOTER; at >= position; at--) {
      at = buffer.lastIndexOf(TypeByte.SECTION_FOOTER, at);
      if (at >= position && this.idAt(at + 1 - position) === sectionId) return reader.offset + at - position;
    }
    return -1;
  }

  /** The end of a section that no layout fits. */
  private searchEnd(sectionId: number): number | undefined {
    const { reader } = this;
    const { buffer, position, end } = reader;
    const isFooted = this.footers !== false;
    const wanted = isFooted ? TypeByte.SECTION_FOOTER : TypeByte.SECTION_FULL;
    for (let at = buffer.indexOf(wanted, position); at >= 0 && at < end; at = buffer.indexOf(wanted, at + 1)) {
      if (this.endsAt(at - position, sectionId)) return reader.offset + at - position;
    }
    return undefined;
  }

  /** The idstr of the FULL header so many bytes on; undefined: there is none. */
  private nameAt(ahead: number): string | undefined {
    const { reader } = this;
    const n = reader.peek(ahead + 5);
    if (n <= 0 || reader.available < ahead + HEADER + n || this.idAt(ahead + 1) > 0xffff) return undefined;
    const at = reader.position + ahead + 6;
    const idstr = latin1(reader.buffer.subarray(at, at + n));
    return /^[ -~]+$/u.test(idstr) && this.idAt(ahead + 6 + n + 4) <= LATEST_VERSION ? idstr : undefined;
  }

  private idAt(ahead: number): number {
    return this.u16At(ahead) * 0x10000 + this.u16At(ahead + 2);
  }

  /** Big-endian; -1 at the end of the buffer. */
  private u16At(ahead: number): number {
    const { reader } = this;
    const [high, low] = [reader.peek(ahead), reader.peek(ahead + 1)];
    return high < 0 || low < 0 ? -1 : high * 256 + low;
  }
}

function originsIn(fits: readonly CatalogueFit[]): bigint {
  return fits.reduce((bits, { from }) => bits | from, 0n);
}
