import { join } from "node:path";
import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import { PagePlaces } from "../../guest/pages/page-places.js";
import { FileNames } from "../../guest/files/file-names.js";
import type { ByteSource } from "../../bytes/source.js";
import {
  commandToPlain,
  StreamReader,
  type ConfigurationSubsection,
  type SectionItem,
  type StreamItem,
  type StreamOptions,
} from "../../codec/stream/index.js";
import {
  canOpenAgain,
  withInput,
  type OpenOptions,
  type ReadingOf,
  type StreamInput,
} from "../../io/container/input.js";
import type { Container } from "../../io/container/types.js";
import { canReopen } from "../../io/transport/file.js";
import { readableAgain } from "../../io/transport/spool.js";
import { AtomicFolder } from "../../io/transport/folder.js";
import { createFolder, writeNewFile } from "../../io/transport/temporary.js";
import { deviceToPlain, printVmDescription, type DeviceDescription } from "../../codec/vmstate/index.js";
import { ChunkFiles } from "./chunk-files.js";
import { hexOf } from "../../bytes/text.js";
import { type Manifest, type ManifestItem, type ManifestSubsection } from "./manifest.js";
import { GatheredFile } from "./gathered-file.js";
import { RamUnpacker } from "./unpack-ram.js";

/** How a stream is taken apart. */
export interface UnpackOptions extends OpenOptions {
  /** Called at the end with the warnings, and what lenient mode skipped. */
  onDiagnostics?: (diagnostics: Diagnostics) => void;
  /** Called with what the stream comes wrapped in, outermost first. */
  onContainers?: (containers: readonly Container[]) => void;
}

/**
 * Takes a stream apart into a folder that can be edited and packed again. Two passes: the first finds the last record
 * of every page. An input that cannot be opened twice (standard input, chunks, a source) is kept in a file for the
 * time. The folder is written atomically. A source passed in stays open.
 * Errors: as `openInput` and `StreamReader`; usage, io, unsupported (mapped-ram, two blocks of one name).
 * @example
 * await unpackStream("vm.mig", "vm.dir");
 * const { streamLength } = await packFolder("vm.dir", "edited.mig");
 */
export async function unpackStream(input: StreamInput, folder: string, options: UnpackOptions = {}): Promise<Manifest> {
  const out = new AtomicFolder(folder);
  const again = typeof input === "string" ? canReopen(input) : canOpenAgain(input);
  try {
    const manifest = await withInput(input, options, async (source, reading) => {
      options.onContainers?.(source.containers);
      const copy = again ? undefined : readableAgain(source, out.temporary);
      try {
        const last = await findLast(copy?.source ?? source, reading);
        copy?.rewind();
        const unpack = (from: ByteSource): Promise<Manifest> => new Unpacker(from, out.temporary, last, reading).run();
        return await (copy === undefined ? withInput(input, options, unpack) : unpack(copy.source));
      } finally {
        copy?.close();
      }
    });
    out.commit();
    return manifest;
  } finally {
    out.abort();
  }
}

async function findLast(source: ByteSource, options: StreamOptions): Promise<PagePlaces> {
  const reader = new StreamReader(source, options);
  const last = new PagePlaces(reader, source);
  for await (const item of reader) {
    if (item.kind !== "section" || item.content.kind !== "ram") continue;
    if (reader.capabilities.includes("mapped-ram")) {
      throw new QevmError("unsupported", "unpack: a mapped-ram file; convert --to stream makes a stream of it", {
        offset: item.offset,
      });
    }
    for await (const batch of item.records()) last.note(batch);
  }
  return last;
}

class Unpacker {
  private readonly reader: StreamReader;
  private readonly items: ManifestItem[] = [];
  private readonly names = new FileNames([
    "manifest.json",
    "vmdescription.json",
    "schema.json",
    "records.bin",
    "versions.bin",
  ]);
  private readonly manifest: Manifest;
  private readonly files: GatheredFile[] = [];
  private readonly ram: RamUnpacker;
  private readonly chunks: ChunkFiles;
  private readonly lent: DeviceDescription[] = [];

  constructor(
    source: ByteSource,
    private readonly folder: string,
    last: PagePlaces,
    private readonly options: ReadingOf<UnpackOptions>,
  ) {
    this.reader = new StreamReader(source, options);
    this.chunks = new ChunkFiles(folder);
    const ram = { blocks: [], lists: [], xbzrle: false };
    const files = { records: this.appender("records.bin"), versions: this.appender("versions.bin") };
    this.ram = new RamUnpacker(this.reader.ram, last, join(folder, "ram"), files, ram);
    this.manifest = { qevm: "unpacked stream", version: 1, pageSize: 4096, ram, items: this.items };
  }

  async run(): Promise<Manifest> {
    const { manifest, folder } = this;
    try {
      createFolder(join(folder, "devices"));
      for await (const item of this.reader) await this.item(item);
      this.ram.finish();
      for (const file of this.files) file.flush();
      manifest.pageSize = this.reader.ram.pageSize;
      if (this.lent.length > 0) this.writeSchema();
      this.write("manifest.json", printManifest(manifest));
      this.options.onDiagnostics?.(this.reader.diagnostics);
      return manifest;
    } finally {
      this.ram.close();
      for (const file of this.files) file.close();
    }
  }

  private async item(item: StreamItem): Promise<void> {
    const { items } = this;
    switch (item.kind) {
      case "header":
        items.push({ item: "header", version: item.version });
        break;
      case "configuration": {
        const { machine, subsections } = item.configuration;
        items.push({ item: "configuration", machine, subsections: subsections.map(plainSubsection) });
        break;
      }
      case "section":
        await this.section(item);
        break;
      case "footer":
        items.push({ item: "footer", id: item.sectionId });
        break;
      case "command": {
        const entry: ManifestItem = { item: "command", ...commandToPlain(item.command) };
        // The length of a package is that of what it holds.
        if (item.command.name === "PACKAGED") delete entry["length"];
        items.push(entry);
        break;
      }
      case "package-end":
        items.push({ item: "package-end" });
        break;
      case "eof":
        items.push({ item: "eof" });
        break;
      case "vmdescription":
        this.write("vmdescription.json", Buffer.from(item.text, "latin1"));
        items.push({ item: "vmdescription", file: "vmdescription.json" });
        break;
      case "opaque":
      case "trailing": {
        const file = this.names.claim(`${item.kind}-${items.length}.bin`);
        const append = this.appender(file);
        for await (const chunk of item.chunks()) append(chunk);
        items.push({ item: "bytes", what: item.kind === "opaque" ? item.reason : "after the stream", file });
        break;
      }
    }
  }

  /** What the lent schema turned out to be for the devices of this stream. */
  private writeSchema(): void {
    const { manifest, lent } = this;
    manifest.schema = "schema.json";
    const description = { pageSize: manifest.pageSize, devices: lent, style: "compact", exact: true } as const;
    this.write(manifest.schema, Buffer.from(printVmDescription(description), "latin1"));
  }

  private async section(item: SectionItem): Promise<void> {
    const content = await this.content(item);
    const { type, sectionId: id } = item;
    if (type === "part" || type === "end") this.items.push({ item: "section", type, id, content });
    else {
      const { idstr: name, instanceId: instance, versionId: version } = item;
      this.items.push({ item: "section", type, id, name, instance, version, content });
    }
  }

  /** Writes what a section holds; returns its file, or "ram". */
  private async content(item: SectionItem): Promise<string> {
    if (item.content.kind === "ram") {
      await this.ram.section(item);
      return "ram";
    }
    const number = String(this.items.length).padStart(3, "0");
    const stem = `devices/${this.names.claim(`${number}-${item.idstr.slice(0, 100)}-${item.instanceId}`)}`;
    if (item.content.kind === "device") {
      if (this.options.schema !== undefined || item.content.catalogue !== undefined)
        this.lent.push(item.content.state.description);
      const { fields, subsections } = deviceToPlain(item.content.state);
      const plain = { device: item.idstr, instance: item.instanceId, fields, subsections };
      this.write(`${stem}.json`, `${JSON.stringify(plain, undefined, 2)}\n`);
      return `${stem}.json`;
    }
    if (item.content.kind === "opaque") {
      this.write(`${stem}.bin`, item.content.bytes);
      return `${stem}.bin`;
    }
    return await this.chunks.write(`${stem}.bin`, item.content.entries());
  }

  private write(file: string, content: Uint8Array | string): void {
    writeNewFile(join(this.folder, file), content);
  }

  private appender(file: string): (bytes: Uint8Array) => void {
    const gathered = new GatheredFile(join(this.folder, file));
    this.files.push(gathered);
    return (bytes) => gathered.write(bytes);
  }
}

function plainSubsection(subsection: ConfigurationSubsection): ManifestSubsection {
  if (subsection.name !== "configuration/uuid") return subsection;
  const { name, version, uuid } = subsection;
  return { name, version, uuid: hexOf(uuid) };
}

/** One line an item: a manifest is read from top to bottom as the stream is. */
function printManifest({ items, ...head }: Manifest): string {
  const text = JSON.stringify(head, undefined, 2);
  const lines = items.map((item) => `    ${JSON.stringify(item)}`).join(",\n");
  return `${text.slice(0, -2)},\n  "items": [\n${lines}\n  ]\n}\n`;
}
