import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import { isRandom, readFully } from "../../bytes/source.js";
import { latin1, QemuFileReader } from "../../bytes/reader.js";
import { findVmDescription, triedVmDescriptions } from "../vmstate/find.js";
import {
  decodeDevice,
  parseVmDescription,
  type DeviceDescription,
  type Schema,
  type VmDescription,
} from "../vmstate/index.js";
import type { Catalogue } from "../vmstate/catalogue/index.js";
import { isCommandNumber } from "./command.js";
import type { SectionContent } from "./items.js";
import { descriptionLimits, deviceLimits, type StreamLimits } from "./limits.js";
import { HEADER, type SectionHeader } from "./section.js";
import type { Surveyed } from "./survey.js";
import { DESCRIPTION_HEADER, TypeByte } from "./types.js";

/** Why device state is not decoded in a stream that does not describe it. */
export const UNDESCRIBED = "device state that no VMDESCRIPTION describes";

/** Bytes of a section footer. */
const FOOTER = 5;

/** A catalogue, or how to get one when a stream needs it. */
export type CatalogueOption = Catalogue | (() => Promise<Catalogue | undefined>);

/** Bytes of a section that are read at first where a schema is lent. */
const LENT_ROOM = 64 * 1024;

/** A footer, or a subsection's head, may be what is missing. */
const LENT_MARGIN = 300;

/** Bytes that are buffered at first where the description is looked for. */
const FIRST_ROOM = 4 << 20;

/**
 * How far from the end of a seekable source a VMDESCRIPTION is looked for when the device part cannot be buffered
 * whole.
 */
const TAIL_WINDOW = 16 * 1024 * 1024;

/**
 * The device part of a stream: FULL sections whose payloads have no lengths, and the VMDESCRIPTION after them that says
 * how to read them. It is held in memory from the first device section on (bounded by `limits.deviceBytes`).
 *
 * The description is looked for, not guessed: a candidate counts only when it parses and describes the section at hand,
 * and every section decoded by it must end at its footer.
 */
export class DevicePart {
  private state: "unread" | "absent" | "ready" = "unread";
  private description: VmDescription | undefined;
  private text: string | undefined;
  /** Devices of the description that no section had yet, the next one last, by {@link deviceKey}. */
  private unused = new Map<string, DeviceDescription[]>();
  /** Their names. */
  private names = new Set<string>();
  /** Everything up to the description, or to the input's end, is in the buffer. */
  private whole = true;
  /** Absolute offset of the end of the description; 0: not found yet. */
  private until = 0;
  /** What the catalogue has for sections that nothing else describes, by absolute offset of their payload. */
  private readonly surveyed = new Map<number, Surveyed>();

  constructor(
    private readonly reader: QemuFileReader,
    private readonly limits: StreamLimits,
    private readonly diagnostics: Diagnostics,
    /** Descriptions of other captures; they are used and the stream's own is not. */
    private readonly schema: Schema | undefined,
    /** Layouts for device state that nothing else describes. */
    private readonly catalogue: CatalogueOption | undefined,
  ) {}

  /**
   * Called with the reader at a FULL header: finds the description that the section needs, in the stream or, where that
   * has none, in the catalogue. A stream with a package has none, and the package is in the buffer.
   */
  async prepare(place: DevicePlace): Promise<"ready" | "absent"> {
    const { reader } = this;
    if (this.schema !== undefined) return "ready";
    const payload = reader.offset + HEADER + reader.peek(FOOTER);
    if (!this.surveyed.has(payload)) {
      const own = await this.prepareOwn(place.packageEnd);
      if (own === "ready" || this.catalogue === undefined || this.hasDamagedDescription()) return own;
      const catalogue = typeof this.catalogue === "function" ? await this.catalogue() : this.catalogue;
      if (catalogue === undefined) return own;
      const { surveyDevices } = await import("./survey.js");
      const found = surveyDevices(reader, catalogue, { ...place, limits: this.limits });
      for (const [offset, section] of found) this.surveyed.set(offset, section);
    }
    return this.surveyed.get(payload)?.description === undefined ? "absent" : "ready";
  }

  /** A whole VMDESCRIPTION follows that was not taken: it is damaged, and reading must not end at it. */
  private hasDamagedDescription(): boolean {
    const { reader } = this;
    const bytes = reader.buffer.subarray(reader.position, reader.end);
    return [...findVmDescription(bytes, 0, this.limits.descriptionBytes)].some(({ complete }) => complete);
  }

  /** At a VMDESCRIPTION after devices that the catalogue described: whether the input ends inside it. */
  async isDescriptionCut(): Promise<boolean> {
    const { reader } = this;
    if (this.surveyed.size === 0 || !this.whole || !(await reader.fill(1))) return false;
    if (reader.peek() !== TypeByte.VMDESCRIPTION) return false;
    if (reader.available < DESCRIPTION_HEADER) return true;
    const { buffer, position } = reader;
    const length = new DataView(buffer.buffer, buffer.byteOffset + position + 1, 4).getUint32(0);
    return reader.available < DESCRIPTION_HEADER + length;
  }

  private async prepareOwn(packageEnd: number | undefined): Promise<"ready" | "absent"> {
    const { reader } = this;
    if (packageEnd !== undefined) return this.description === undefined ? "absent" : "ready";
    if (this.state === "unread" || this.description === undefined) {
      this.state = (await this.searchOn()) ? "ready" : "absent";
      if (this.state === "absent" && !this.whole && (await this.searchTail())) this.state = "ready";
    } else {
      // The description that was found early: the section itself must still be completely in the buffer.
      const left = this.until - reader.offset;
      if (left > 0 && left <= this.limits.deviceBytes) this.whole = await reader.fill(left);
      else this.whole = await reader.fillToEnd(this.limits.deviceBytes);
    }
    return this.state;
  }

  /** Looks for the description in what is buffered, which grows: a long tail may follow a short device part. */
  private async searchOn(): Promise<boolean> {
    const { reader } = this;
    const { deviceBytes } = this.limits;
    for (let room = Math.min(FIRST_ROOM, deviceBytes); ; room = Math.min(8 * room, deviceBytes)) {
      this.whole = await reader.fillToEnd(room);
      const found = this.search(reader.buffer.subarray(reader.position, reader.end), reader.offset);
      // Up to the description: all that the sections need.
      if (found) this.whole = true;
      if (found || this.whole || room === deviceBytes) return found;
    }
  }

  /** The parsed form of `text` when it is the one that was found already. */
  descriptionOf(text: string): VmDescription | undefined {
    return text === this.text ? this.description : undefined;
  }

  /** Decodes the payload after `header`. Where its fields do not fit, its end is sought by its footer. */
  async decode(header: SectionHeader, footers: boolean | undefined, packageEnd?: number): Promise<SectionContent> {
    const { reader, schema } = this;
    if (schema !== undefined) return await this.decodeLent(schema, header, footers, packageEnd);
    const start = reader.position;
    const depth = reader.path.length;
    const surveyed = this.surveyed.get(reader.offset);
    if (surveyed?.description !== undefined) {
      const state = decodeDevice(reader, surveyed.description, deviceLimits(this.limits));
      const { schema: from, others, uncertain } = surveyed;
      const catalogue = { schema: from, others, certain: uncertain === undefined, ...(uncertain && { uncertain }) };
      return { kind: "device", state, length: reader.position - start, catalogue };
    }
    const description = this.match(header);
    let reason = "the VMDESCRIPTION does not describe this section";
    let failure: QevmError | undefined;
    if (description !== undefined) {
      try {
        const endsAt = (offset: number): boolean => this.endsAt(offset, header.sectionId, footers);
        const state = decodeDevice(reader, description, { endsAt, ...deviceLimits(this.limits) });
        return { kind: "device", state, length: reader.position - start };
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
        if (error.code === "truncated" && !this.whole) throw this.tooLong();
        failure = error;
        reason = error.message;
        reader.position = start;
        reader.path.length = depth;
      }
    }
    const length = footers === false ? -1 : this.findFooter(start, header.sectionId);
    if (length < 0) {
      throw failure ?? reader.error("bad-description", reason);
    }
    this.diagnostics.warn(failure ?? reader.error("bad-description", reason));
    return { kind: "opaque", bytes: reader.bytes(length), reason };
  }

  /** The same by a lent schema: what does not fit is refused, or in lenient mode opaque up to its footer. */
  private async decodeLent(
    schema: Schema,
    header: SectionHeader,
    footers: boolean | undefined,
    packageEnd: number | undefined,
  ): Promise<SectionContent> {
    const { reader, limits } = this;
    const depth = reader.path.length;
    const endsAt = (offset: number): boolean => this.endsAt(offset, header.sectionId, footers, packageEnd);
    for (let room = LENT_ROOM; ; room = Math.min(4 * room, limits.deviceBytes)) {
      const more = packageEnd === undefined && (await reader.fill(room)) && room < limits.deviceBytes;
      const start = reader.position;
      try {
        const state = schema.decode(reader, header, { endsAt, ...deviceLimits(limits) });
        return { kind: "device", state, length: reader.position - start };
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
        reader.position = start;
        reader.path.length = depth;
        if (more && this.wantsMore(error)) continue;
        if (!this.diagnostics.lenient) throw error;
        if (packageEnd === undefined) await reader.fillToEnd(limits.deviceBytes);
        const length = footers === false ? -1 : this.findFooter(reader.position, header.sectionId, packageEnd);
        if (length < 0) throw error;
        this.diagnostics.passOver(error);
        return { kind: "opaque", bytes: reader.bytes(length), reason: error.message };
      }
    }
  }

  /** Whether a refusal may be due to bytes that are not in the buffer yet. */
  private wantsMore({ code, offset = 0 }: QevmError): boolean {
    const { reader } = this;
    return code === "truncated" || offset + LENT_MARGIN > reader.offset + reader.available;
  }

  /**
   * The payload after `header` where nothing describes it: in a package up to its footer, elsewhere up to the end that
   * the catalogue's survey found. Undefined: its end was not found.
   */
  opaque(
    header: SectionHeader,
    footers: boolean | undefined,
    packageEnd: number | undefined,
  ): SectionContent | undefined {
    const { reader } = this;
    const surveyed = this.surveyed.get(reader.offset);
    let length = surveyed === undefined ? -1 : surveyed.end - reader.offset;
    if (length < 0 && footers === true && packageEnd !== undefined) {
      length = this.findFooter(reader.position, header.sectionId, packageEnd);
    }
    return length < 0 ? undefined : { kind: "opaque", bytes: reader.bytes(length), reason: UNDESCRIBED };
  }

  private tooLong(): QevmError {
    return this.reader.error("limit", "the device part does not fit the buffer", {
      expected: `at most ${this.limits.deviceBytes} bytes (deviceBytes)`,
    });
  }

  private match(header: SectionHeader): DeviceDescription | undefined {
    return this.unused.get(deviceKey(header.idstr, header.instanceId))?.pop();
  }

  private endsAt(offset: number, sectionId: number, footers: boolean | undefined, packageEnd?: number): boolean {
    const { reader } = this;
    const at = offset - reader.offset;
    const type = reader.peek(at);
    if (type === TypeByte.SECTION_FOOTER && footers !== false) return this.idAt(at + 1) === sectionId;
    return footers !== true && this.legalNext(at, packageEnd);
  }

  private idAt(at: number): number {
    const { reader } = this;
    let id = 0;
    for (let i = 0; i < 4; i++) {
      const byte = reader.peek(at + i);
      if (byte < 0) return -1;
      id = id * 256 + byte;
    }
    return id;
  }

  /** Bytes from `start` to the footer of `sectionId` that is followed by what can follow a section; -1: none. */
  private findFooter(start: number, sectionId: number, packageEnd?: number): number {
    const { reader } = this;
    const { buffer } = reader;
    const end = packageEnd === undefined ? reader.end : reader.position + packageEnd - reader.offset;
    for (let at = buffer.indexOf(TypeByte.SECTION_FOOTER, start); at >= 0 && at + FOOTER <= end;) {
      const ahead = at - reader.position + FOOTER;
      if (this.idAt(ahead - 4) === sectionId && this.legalNext(ahead, packageEnd)) return at - start;
      at = buffer.indexOf(TypeByte.SECTION_FOOTER, at + 1);
    }
    return -1;
  }

  private legalNext(ahead: number, packageEnd: number | undefined): boolean {
    const { reader } = this;
    const type = reader.peek(ahead);
    if (packageEnd !== undefined && reader.offset + ahead === packageEnd) return true;
    if (type === TypeByte.COMMAND) return reader.peek(ahead + 1) === 0 && isCommandNumber(reader.peek(ahead + 2));
    if (type === TypeByte.SECTION_FULL) {
      const idstr = this.nameAt(ahead);
      if (idstr === undefined) return false;
      // Without a description any name that a device could have will do.
      return this.description === undefined ? /^[ -~]+$/u.test(idstr) : this.names.has(idstr);
    }
    if (packageEnd !== undefined) return false;
    if (type === TypeByte.EOF) {
      const next = reader.peek(ahead + 1);
      return next === TypeByte.VMDESCRIPTION || (next < 0 && this.schema !== undefined);
    }
    return type === TypeByte.SECTION_END || type === TypeByte.SECTION_PART;
  }

  private search(bytes: Uint8Array, offset: number): boolean {
    const idstr = this.nameAt(0);
    for (const candidate of triedVmDescriptions(bytes, this.limits.descriptionBytes)) {
      const text = latin1(bytes.subarray(candidate.start, candidate.start + candidate.length));
      let description: VmDescription;
      try {
        description = parseVmDescription(text, {
          offset: offset + candidate.start,
          ...descriptionLimits(this.limits),
        });
      } catch (error) {
        if (error instanceof QevmError) continue;
        throw error;
      }
      if (idstr !== undefined && !description.devices.some((d) => d.name === idstr)) continue;
      this.take(description, text);
      this.until = offset + candidate.start + candidate.length;
      return true;
    }
    return false;
  }

  private take(description: VmDescription, text: string): void {
    this.description = description;
    this.text = text;
    this.names = new Set(description.devices.map(({ name }) => name));
    this.unused = new Map();
    for (const device of description.devices.toReversed()) {
      const key = deviceKey(device.name, device.instanceId);
      const same = this.unused.get(key);
      if (same === undefined) this.unused.set(key, [device]);
      else same.push(device);
    }
  }

  private async searchTail(): Promise<boolean> {
    const { source } = this.reader;
    if (!isRandom(source)) return false;
    const tail = new Uint8Array(Math.min(TAIL_WINDOW, source.length));
    const from = source.length - tail.length;
    const filled = await readFully(source, from, tail);
    return this.search(tail.subarray(0, filled), this.reader.origin + from);
  }

  /** The idstr of the FULL header so many bytes on. */
  private nameAt(ahead: number): string | undefined {
    const { reader } = this;
    const n = reader.peek(ahead + 5);
    if (n <= 0 || reader.available < ahead + 6 + n) return undefined;
    const at = reader.position + ahead + 6;
    return latin1(reader.buffer.subarray(at, at + n));
  }
}

/** The stream around a device section. */
interface DevicePlace {
  footers: boolean | undefined;
  packageEnd: number | undefined;
  machine: string | undefined;
}

/** What distinguishes a device from all others except those of the same name and instance. */
function deviceKey(idstr: string, instanceId: number): string {
  return `${instanceId}/${idstr}`;
}
