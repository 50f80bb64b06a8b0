import { QevmError } from "../../bytes/errors.js";
import { MemorySink, QemuFileWriter } from "../../bytes/index.js";
import {
  encodeCommand,
  encodeConfiguration,
  encodeFooter,
  encodeHeader,
  encodeSectionHeader,
  TypeByte,
} from "../../codec/stream/index.js";
import type { StreamLimits } from "../../codec/stream/limits.js";
import { readBelow } from "../../io/transport/below.js";
import { FileSource } from "../../io/transport/file.js";
import { openOutput, scratchFor } from "../../io/transport/output.js";
import { parseJson } from "../../io/transport/parse-json.js";
import {
  deviceFromPlain,
  encodeDevice,
  parseVmDescription,
  type DeviceDescription,
  type VmDescription,
} from "../../codec/vmstate/index.js";
import { Keys, refuse, type Manifest } from "./manifest.js";
import { RamPacker, type RamEdits } from "./pack-ram.js";
import { parseManifest, type PackItem } from "./parse-manifest.js";

/** What was packed. */
export interface PackReport {
  streamLength: number;
  /** Changes to records caused by edited RAM files. */
  edits: RamEdits;
}

/**
 * Writes the stream that an unpacked folder describes. Untouched it is the stream that was unpacked, byte for byte;
 * edited RAM files and device values win. The file is written atomically; `-` is standard output. Errors name the
 * file and the key: bad-description, does-not-fit, limit, io; bad-value where a file of the folder is a link, device or
 * pipe.
 */
export async function packFolder(folder: string, out: string, limits: Partial<StreamLimits> = {}): Promise<PackReport> {
  const { manifest, items } = parseManifest(readJson(folder, "manifest.json"));
  const file = openOutput(out);
  const writer = new QemuFileWriter(file);
  let packer: Packer | undefined;
  try {
    packer = new Packer(folder, writer, manifest, items, scratchFor(out), limits.absentBytes);
    const edits = await packer.run();
    await writer.flush();
    file.commit();
    return { streamLength: writer.offset, edits };
  } finally {
    packer?.close();
    file.abort();
  }
}

class Packer {
  private readonly ram: RamPacker | undefined;
  private readonly description: VmDescription | undefined;
  private readonly used = new Set<DeviceDescription>();
  /** The package that is being written, and its purpose. */
  private package: { sink: MemorySink; outer: QemuFileWriter } | undefined;

  constructor(
    private readonly folder: string,
    private writer: QemuFileWriter,
    manifest: Manifest,
    private readonly items: readonly PackItem[],
    scratch: string,
    absentBytes: number | undefined,
  ) {
    const text = manifest.schema ?? items.find((item) => item.kind === "vmdescription")?.file;
    if (text !== undefined) {
      this.description = inFile(text, () => parseVmDescription(this.read(text).toString("latin1")));
    }
    if (items.some((item) => item.kind === "ram")) {
      this.ram = new RamPacker(writer, folder, manifest.ram, manifest.pageSize, scratch, absentBytes);
    }
  }

  async run(): Promise<RamEdits> {
    const last = this.items.findLast((item) => item.kind === "ram");
    for (const item of this.items) {
      await this.item(item, item === last);
      await this.writer.drain();
    }
    if (this.package !== undefined) throw refuse("manifest.json: items", "package-end after PACKAGED", "none");
    this.ram?.done();
    return this.ram?.edits ?? { becamePages: 0, recompressedPayloads: 0, added: 0 };
  }

  close(): void {
    this.ram?.close();
  }

  private async item(item: PackItem, lastRam: boolean): Promise<void> {
    const { writer } = this;
    switch (item.kind) {
      case "header":
        encodeHeader(writer, item);
        break;
      case "configuration":
        inFile(item.at, () => encodeConfiguration(writer, item.configuration));
        break;
      case "ram":
        if (this.package !== undefined) throw refuse("manifest.json: items", "no RAM in a package", "ram");
        encodeSectionHeader(writer, item.header);
        await this.ram!.chunk(lastRam);
        break;
      case "section":
        encodeSectionHeader(writer, item.header);
        if (item.content.endsWith(".json")) this.device(item.content, item.header.idstr, item.header.instanceId);
        else await this.copy(item.content);
        break;
      case "footer":
        encodeFooter(writer, item.sectionId);
        break;
      case "command":
        if (item.command.name === "PACKAGED") this.openPackage();
        else encodeCommand(writer, item.command);
        break;
      case "package-end":
        await this.closePackage();
        break;
      case "eof":
        writer.u8(TypeByte.EOF);
        break;
      case "vmdescription": {
        const text = this.read(item.file);
        writer.u8(TypeByte.VMDESCRIPTION);
        writer.u32(text.length);
        writer.bytes(text);
        break;
      }
      case "bytes":
        await this.copy(item.file);
        break;
    }
  }

  /** What follows goes into memory: its length comes before it. */
  private openPackage(): void {
    if (this.package !== undefined) throw refuse("manifest.json: items", "no PACKAGED in PACKAGED", "PACKAGED");
    const sink = new MemorySink();
    this.package = { sink, outer: this.writer };
    this.writer = new QemuFileWriter(sink);
  }

  private async closePackage(): Promise<void> {
    if (this.package === undefined) throw refuse("manifest.json: items", "PACKAGED before package-end", "none");
    const { sink, outer } = this.package;
    await this.writer.flush();
    this.package = undefined;
    this.writer = outer;
    const bytes = sink.bytes();
    encodeCommand(outer, { name: "PACKAGED", length: bytes.length });
    outer.bytes(bytes);
  }

  private device(file: string, name: string, instance: number): void {
    const keys = new Keys(readJson(this.folder, file), file);
    const device = keys.text("device");
    const found = keys.integer("instance", 0xffffffff);
    if (device !== name || found !== instance) {
      throw refuse(`${file}: device`, `${name}/${instance}, as manifest.json says`, `${device}/${found}`);
    }
    const plain = { fields: keys.take("fields"), subsections: keys.take("subsections") };
    keys.done();
    const description = this.description?.devices.find(
      (d) => d.name === name && d.instanceId === instance && !this.used.has(d),
    );
    if (description === undefined) {
      throw new QevmError("bad-description", `${file}: the description of the folder does not describe this device`);
    }
    this.used.add(description);
    inFile(file, () => encodeDevice(this.writer, deviceFromPlain(description, plain)));
  }

  private async copy(file: string): Promise<void> {
    const source = FileSource.below(this.folder, file);
    try {
      const chunk = new Uint8Array(1 << 18);
      for (let n = source.read(chunk); n > 0; n = source.read(chunk)) {
        this.writer.bytes(chunk.subarray(0, n));
        await this.writer.drain();
      }
    } finally {
      source.close();
    }
  }

  private read(file: string): Buffer {
    return readBelow(this.folder, file);
  }
}

function readJson(folder: string, file: string): unknown {
  return parseJson(readBelow(folder, file).toString("utf8"), file);
}

/** Puts the file's name in front of an error's path. */
function inFile<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
    const { code, what, path, expected, found } = error;
    throw new QevmError(code, what, { path: [file, ...path], expected, found, cause: error });
  }
}
