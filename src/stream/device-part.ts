import { QevmError, type Diagnostics } from "../errors.js";
import { latin1, QemuFileReader } from "../qemu-file/reader.js";
import {
  decodeDevice,
  findVmDescription,
  parseVmDescription,
  type DeviceDescription,
  type VmDescription,
} from "../vmstate/index.js";
import type { SectionContent } from "./items.js";
import type { StreamLimits } from "./limits.js";
import type { SectionHeader } from "./section.js";
import { TypeByte } from "./types.js";

/** How far from the end of a seekable source a VMDESCRIPTION is looked for when the device part cannot be buffered whole. */
const TAIL_WINDOW = 16 * 1024 * 1024;

/**
 * The device part of a stream: FULL sections whose payloads have no lengths, and the VMDESCRIPTION behind them that says
 * how to read them. It is held in memory from the first device section on (bounded by `limits.deviceBytes`).
 *
 * The description is looked for, not guessed: a candidate counts only when it parses and describes the section at hand,
 * and every section decoded by it must end at its footer.
 */
export class DevicePart {
  private state: "unread" | "absent" | "ready" = "unread";
  private description: VmDescription | undefined;
  private text: string | undefined;
  private used = new Set<DeviceDescription>();

  constructor(
    private readonly reader: QemuFileReader,
    private readonly limits: StreamLimits,
    private readonly diagnostics: Diagnostics,
  ) {}

  /** Uses a description that stands elsewhere (another capture of the same QEMU and machine). */
  lend(description: VmDescription): void {
    this.description = description;
    this.state = "ready";
  }

  /** Called with the reader at a FULL header: finds the description that the section needs. */
  async prepare(): Promise<"ready" | "absent"> {
    const { reader } = this;
    if (this.state === "unread" || this.description === undefined) {
      const whole = await reader.fillToEnd(this.limits.deviceBytes);
      this.state = this.search(reader.buffer.subarray(reader.position, reader.end)) ? "ready" : "absent";
      if (this.state === "absent" && !whole && (await this.searchTail())) this.state = "ready";
    } else {
      // The lent or early-found description: the section itself must still be in the buffer whole.
      await reader.fillToEnd(this.limits.deviceBytes);
    }
    return this.state;
  }

  /** The parsed form of `text` when it is the one that was found already. */
  descriptionOf(text: string): VmDescription | undefined {
    return text === this.text ? this.description : undefined;
  }

  /** Decodes the payload behind `header`. Where its fields do not fit, its end is sought by its footer. */
  decode(header: SectionHeader, footers: boolean | undefined): SectionContent {
    const { reader } = this;
    const start = reader.position;
    const depth = reader.path.length;
    const description = this.match(header);
    let reason = "the VMDESCRIPTION does not describe this section";
    let failure: QevmError | undefined;
    if (description !== undefined) {
      try {
        const endsAt = (offset: number): boolean => this.endsAt(offset, header.sectionId, footers);
        const state = decodeDevice(reader, description, { endsAt });
        return { kind: "device", state, length: reader.position - start };
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
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

  private match(header: SectionHeader): DeviceDescription | undefined {
    const found = this.description?.devices.find(
      (d) => d.name === header.idstr && d.instanceId === header.instanceId && !this.used.has(d),
    );
    if (found !== undefined) this.used.add(found);
    return found;
  }

  private endsAt(offset: number, sectionId: number, footers: boolean | undefined): boolean {
    const { reader } = this;
    const at = offset - reader.offset;
    const type = reader.peek(at);
    if (type === TypeByte.SECTION_FOOTER && footers !== false) return this.idAt(at + 1) === sectionId;
    return footers !== true && (type === TypeByte.EOF || type === TypeByte.SECTION_FULL || type === TypeByte.COMMAND);
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

  /** Bytes from `start` to the footer of `sectionId` that is followed by EOF, a command or a section the description names; -1: none. */
  private findFooter(start: number, sectionId: number): number {
    const { reader } = this;
    const { buffer, end } = reader;
    for (let at = buffer.indexOf(TypeByte.SECTION_FOOTER, start); at >= 0 && at + 5 < end;) {
      const ahead = at - reader.position;
      if (this.idAt(ahead + 1) === sectionId && this.legalNext(ahead + 5)) return at - start;
      at = buffer.indexOf(TypeByte.SECTION_FOOTER, at + 1);
    }
    return -1;
  }

  private legalNext(ahead: number): boolean {
    const { reader } = this;
    const type = reader.peek(ahead);
    if (type === TypeByte.EOF) return reader.peek(ahead + 1) === TypeByte.VMDESCRIPTION;
    if (type === TypeByte.COMMAND) return reader.peek(ahead + 1) === 0;
    if (type === TypeByte.SECTION_END || type === TypeByte.SECTION_PART) return true;
    if (type !== TypeByte.SECTION_FULL) return false;
    const n = reader.peek(ahead + 5);
    if (n <= 0) return false;
    const name: number[] = [];
    for (let i = 0; i < n; i++) name.push(Math.max(0, reader.peek(ahead + 6 + i)));
    const idstr = latin1(Uint8Array.from(name));
    return this.description?.devices.some((d) => d.name === idstr) ?? false;
  }

  private search(bytes: Uint8Array): boolean {
    const idstr = this.nextName();
    for (const candidate of findVmDescription(bytes, 0)) {
      if (candidate.length > this.limits.descriptionBytes) continue;
      const text = latin1(bytes.subarray(candidate.start, candidate.start + candidate.length));
      let description: VmDescription;
      try {
        description = parseVmDescription(text, { offset: this.reader.offset + candidate.start });
      } catch (error) {
        if (error instanceof QevmError) continue;
        throw error;
      }
      if (idstr !== undefined && !description.devices.some((d) => d.name === idstr)) continue;
      this.description = description;
      this.text = text;
      return true;
    }
    return false;
  }

  private async searchTail(): Promise<boolean> {
    const { source } = this.reader;
    if (source.readAt === undefined || source.length === undefined) return false;
    const tail = new Uint8Array(Math.min(TAIL_WINDOW, source.length));
    const from = source.length - tail.length;
    let filled = 0;
    while (filled < tail.length) {
      const got = await source.readAt(from + filled, tail.subarray(filled));
      if (got === 0) break;
      filled += got;
    }
    return this.search(tail.subarray(0, filled));
  }

  /** The idstr of the FULL header that the reader stands at. */
  private nextName(): string | undefined {
    const { reader } = this;
    const n = reader.peek(5);
    if (n <= 0 || reader.available < 6 + n) return undefined;
    return latin1(reader.buffer.subarray(reader.position + 6, reader.position + 6 + n));
  }
}
