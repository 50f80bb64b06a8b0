import { QevmError } from "../../bytes/errors.js";
import { QemuFileWriter, fromLatin1 } from "../../bytes/writer.js";
import type { ByteSink } from "../../bytes/source.js";
import { encodeBlockList, RamFlag, RecordWriter, type RamBlock } from "../ram/index.js";
import {
  encodeDevice,
  printVmDescription,
  type DeviceState,
  type StructDescription,
  type VmDescription,
} from "../vmstate/index.js";
import { encodeCommand, type Command } from "./command.js";
import { encodeConfiguration, type Configuration } from "./configuration.js";
import { encodeHeader, STREAM_VERSION } from "./header.js";
import { encodeFooter, encodeSectionHeader } from "./section.js";
import { TypeByte, type SectionType } from "./types.js";

/** The properties of a written stream. */
export interface StreamWriterOptions {
  /** Machine type; left out: no configuration section (machine types up to 2.3). */
  machine?: string;
  /** Subsections of the configuration. */
  subsections?: Configuration["subsections"];
  /** Target page size in bytes. Default 4096. */
  pageSize?: number;
  /** Whether sections have footers. Default true; false for machine types up to 2.3. */
  footers?: boolean;
  /** section_id of "ram". Default 2. The loader takes any that no other section has. */
  ramSectionId?: number;
}

/** What a device section is written from. */
export interface WrittenDevice {
  state: DeviceState;
  versionId: number;
  /** Default: the next free one. */
  sectionId?: number;
}

type Phase = "begin" | "ram" | "devices" | "done";

/**
 * Writes a stream record by record in the order that QEMU expects: RAM blocks, rounds of pages, devices, EOF. CONTINUE,
 * footers, lengths and the VMDESCRIPTION are its business. Calls in another order are the error `usage`.
 *
 * `ExactWriter` writes exactly what it is given, valid or not.
 *
 * Source: QEMU migration/savevm.c qemu_savevm_state (5.2 to 11.1).
 * @example
 * const { description, ...state } = await (await openStream("vm.mig")).device("timer");
 * const writer = new StreamWriter(new MemorySink(), { machine: "none" });
 * writer.ram.blocks([{ idstr: "ram", usedLength: 4096 }]);
 * writer.ram.end();
 * await writer.device({ state: { description, ...state }, versionId: 2 });
 * await writer.finish();
 */
export class StreamWriter {
  readonly ram: RamWriter;
  readonly file: QemuFileWriter;
  readonly pageSize: number;
  private phase: Phase = "begin";
  private nextSectionId = 0;
  private readonly used = new Set<number>();
  private readonly described: DeviceState["description"][] = [];

  constructor(
    sink: ByteSink,
    private readonly options: StreamWriterOptions = {},
  ) {
    this.file = new QemuFileWriter(sink);
    this.pageSize = options.pageSize ?? 4096;
    this.ram = new RamWriter(this, options.ramSectionId ?? 2);
    this.used.add(options.ramSectionId ?? 2);
    encodeHeader(this.file, { version: STREAM_VERSION });
    const { machine, subsections } = options;
    if (machine !== undefined) encodeConfiguration(this.file, { machine, subsections: subsections ?? [] });
  }

  /** A command between sections, for example `{ name: "SWITCHOVER_START" }`. */
  command(command: Command): void {
    this.ram.closePart();
    encodeCommand(this.file, command);
  }

  /** One FULL section. Errors: does-not-fit where a value does not fit its field. */
  async device(device: WrittenDevice): Promise<void> {
    if (this.phase === "ram") throw new QevmError("usage", "devices are written after the last round: call ram.end()");
    this.enter("devices");
    const { name, instanceId } = device.state.description;
    const sectionId = this.claim(device.sectionId);
    const header = { type: "full", sectionId, idstr: name, instanceId, versionId: device.versionId } as const;
    encodeSectionHeader(this.file, header);
    encodeDevice(this.file, device.state);
    this.footer(sectionId);
    this.described.push(device.state.description);
    await this.file.drain();
  }

  /**
   * EOF and the VMDESCRIPTION, made from the devices written. `description` gives its style and configuration;
   * `"none"` leaves it out.
   */
  async finish(description: Partial<VmDescription> | "none" = {}): Promise<void> {
    if (this.phase === "ram") throw new QevmError("usage", "the stream ends after the last round: call ram.end()");
    this.enter("done");
    this.file.u8(TypeByte.EOF);
    if (description !== "none") {
      const text = printVmDescription({
        style: "compact",
        pageSize: this.pageSize,
        exact: true,
        ...description,
        devices: this.described,
      });
      const bytes = fromLatin1(text, "VMDESCRIPTION");
      this.file.u8(TypeByte.VMDESCRIPTION);
      this.file.u32(bytes.length);
      this.file.bytes(bytes);
    }
    await this.file.finish();
  }

  /** @internal */
  enter(phase: Phase): void {
    const order: Phase[] = ["begin", "ram", "devices", "done"];
    if (this.phase === "done" || order.indexOf(phase) < order.indexOf(this.phase)) {
      throw new QevmError("usage", `a stream has RAM, then devices, then its end: ${phase} after ${this.phase}`);
    }
    this.phase = phase;
  }

  /** @internal */
  section(type: SectionType, sectionId: number): void {
    encodeSectionHeader(this.file, { type, sectionId, idstr: "ram", instanceId: 0, versionId: 4 });
  }

  /** @internal */
  footer(sectionId: number): void {
    if (this.options.footers !== false) encodeFooter(this.file, sectionId);
  }

  private claim(wanted: number | undefined): number {
    let id = wanted ?? this.nextSectionId;
    if (wanted === undefined) while (this.used.has(id)) id++;
    else if (this.used.has(id)) throw new QevmError("usage", `section_id ${id} is used twice`);
    this.used.add(id);
    if (wanted === undefined) this.nextSectionId = id + 1;
    return id;
  }
}

/**
 * The RAM section of a `StreamWriter`: START by `blocks`, a PART a round, END.
 * @example
 * const { ram } = createStreamWriter(new MemorySink(), { machine: "none" });
 * const [block] = ram.blocks([{ idstr: "ram", usedLength: 8192 }]);
 * await ram.zero(block!, 0);
 * await ram.page(block!, 4096, new Uint8Array(4096).fill(0x55));
 * ram.endRound();
 * ram.end();
 */
export class RamWriter {
  private readonly names = new Map<string, RamBlock>();
  private readonly wire: RecordWriter;
  private open: "none" | "part" | "end" = "none";

  /** @internal */
  constructor(
    private readonly stream: StreamWriter,
    private readonly sectionId: number,
  ) {
    this.wire = new RecordWriter(stream.file);
  }

  /** Writes START with the block list. Lengths in bytes, multiples of the page size. */
  blocks(list: readonly { idstr: string; usedLength: number; pageSize?: bigint; address?: bigint }[]): RamBlock[] {
    this.stream.enter("ram");
    const blocks = list.map((block, index): RamBlock => ({ index, ...block }));
    let total = 0;
    for (const block of blocks) {
      if (block.usedLength % this.stream.pageSize !== 0) {
        throw new QevmError("does-not-fit", `length of RAM block "${block.idstr}" is not a multiple of the page size`);
      }
      total += block.usedLength;
      this.names.set(block.idstr, block);
    }
    this.stream.section("start", this.sectionId);
    encodeBlockList(this.stream.file, { total, blocks });
    this.eos();
    return blocks;
  }

  /** A raw page. */
  page(block: RamBlock, offset: number, bytes: Uint8Array): void | Promise<void> {
    if (bytes.length !== this.stream.pageSize) {
      throw new QevmError("does-not-fit", `a page of ${bytes.length} bytes`);
    }
    return this.record(RamFlag.PAGE, block, offset, bytes);
  }

  /** A page of zeros. */
  zero(block: RamBlock, offset: number): void | Promise<void> {
    this.begins(block, offset);
    this.wire.zero(block, offset);
    return this.stream.file.drain();
  }

  /** A page as a zlib stream (QEMU 2.4 to 9.0). */
  compressed(block: RamBlock, offset: number, payload: Uint8Array): void | Promise<void> {
    return this.record(RamFlag.COMPRESS_PAGE, block, offset, payload);
  }

  /** A page as an XBZRLE delta to what was sent for it before. */
  xbzrle(block: RamBlock, offset: number, delta: Uint8Array): void | Promise<void> {
    return this.record(RamFlag.XBZRLE, block, offset, delta);
  }

  /** Whether the next page of `block` would leave its name out. */
  continues(block: RamBlock): boolean {
    return this.wire.current === block;
  }

  /** Ends a PART; the next page begins another. A round without pages is a PART that holds EOS alone. */
  endRound(): void {
    this.begin("part");
    this.closePart();
  }

  /** Writes END; pages given between `beginEnd` and this are in it. */
  end(): void {
    if (this.open !== "end") this.beginEnd();
    this.eos();
    this.open = "none";
    this.stream.enter("devices");
  }

  /** Begins the last chunk, which holds a stopped guest's last pages. */
  beginEnd(): void {
    this.closePart();
    this.begin("end");
  }

  /** @internal */
  closePart(): void {
    if (this.open === "part") {
      this.eos();
      this.open = "none";
    }
  }

  private record(flag: number, block: RamBlock, offset: number, body: Uint8Array): void | Promise<void> {
    this.begins(block, offset);
    this.wire.page(flag, block, offset, body);
    return this.stream.file.drain();
  }

  /** Before a page. Errors: usage, does-not-fit. */
  private begins(block: RamBlock, offset: number): void {
    if (this.names.get(block.idstr) !== block) {
      throw new QevmError("usage", `RAM block "${block.idstr}" is not of this stream`);
    }
    if (offset % this.stream.pageSize !== 0 || offset < 0 || offset >= block.usedLength) {
      throw new QevmError("does-not-fit", `no page of RAM block "${block.idstr}" begins at 0x${offset.toString(16)}`);
    }
    if (this.open === "none") this.begin("part");
  }

  private begin(type: "part" | "end"): void {
    this.stream.enter("ram");
    if (this.open === type) return;
    this.stream.section(type, this.sectionId);
    this.open = type;
  }

  private eos(): void {
    this.wire.mark(RamFlag.EOS);
    this.stream.footer(this.sectionId);
  }
}

/**
 * Makes a `StreamWriter`.
 * @example
 * const sink = new MemorySink();
 * const writer = createStreamWriter(sink, { machine: "none" });
 * const [block] = writer.ram.blocks([{ idstr: "ram", usedLength: 1 << 20 }]);
 * await writer.ram.page(block!, 0, new Uint8Array(4096).fill(0x55));
 * writer.ram.end();
 * await writer.finish();
 * console.log(sink.bytes().length);
 */
export function createStreamWriter(sink: ByteSink, options: StreamWriterOptions = {}): StreamWriter {
  return new StreamWriter(sink, options);
}

/** The `configuration` member that QEMU 8.2 and later put into the VMDESCRIPTION. */
export function describedConfiguration(machine: string): StructDescription {
  return {
    vmsdName: "configuration",
    version: 1,
    fields: [
      { name: "len", type: "uint32", size: 4 },
      { name: "name", type: "buffer", size: machine.length },
    ],
  };
}
