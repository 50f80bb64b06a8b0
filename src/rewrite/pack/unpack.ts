import { join } from "node:path";
import { createDeflater } from "../../engine/create.js";
import type { PageDeflater } from "../../engine/page-engine.js";
import { QevmError, type Diagnostics } from "../../bytes/errors.js";
import { KeptBefore, PageDecoder } from "../../guest/pages/page-decoder.js";
import { PagePlaces } from "../../guest/pages/page-places.js";
import { BlockFiles } from "../../guest/files/block-files.js";
import { FileNames } from "../../guest/files/file-names.js";
import type { ByteSource } from "../../bytes/source.js";
import { RamFlag, type RamBatch } from "../../codec/ram/index.js";
import { encodeXbzrle } from "../../codec/ram/xbzrle.js";
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
import { Kind, OrderWriter } from "./order.js";
import { GatheredFile } from "./gathered-file.js";

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

/** Levels that share the two header bytes of a zlib stream, the likeliest first. */
const LEVELS: Readonly<Record<number, readonly number[]>> = {
  0x01: [1, 0],
  0x5e: [5, 4, 3, 2],
  0x9c: [6],
  0xda: [9, 8, 7],
};

/** Records that are neither pages nor block lists. */
const KINDS: ReadonlyMap<number, number> = new Map([
  [RamFlag.EOS, Kind.EOS],
  [RamFlag.MULTIFD_FLUSH, Kind.FLUSH],
  [RamFlag.HOOK, Kind.HOOK],
]);

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
  private readonly order: OrderWriter;
  private readonly files: GatheredFile[] = [];
  private readonly versions: (bytes: Uint8Array) => void;
  private readonly chunks: ChunkFiles;
  private memory: BlockFiles | undefined;
  private readonly deflaters = new Map<number, PageDeflater>();
  private readonly level = new Map<number, number>();
  private scratch: { decoder: PageDecoder; old: KeptBefore; payload: Uint8Array } | undefined;
  private readonly lent: DeviceDescription[] = [];

  constructor(
    source: ByteSource,
    private readonly folder: string,
    private readonly last: PagePlaces,
    private readonly options: ReadingOf<UnpackOptions>,
  ) {
    this.reader = new StreamReader(source, options);
    this.order = new OrderWriter(this.appender("records.bin"));
    this.versions = this.appender("versions.bin");
    this.chunks = new ChunkFiles(folder);
    const ram = { blocks: [], lists: [], xbzrle: false };
    this.manifest = { qevm: "unpacked stream", version: 1, pageSize: 4096, ram, items: this.items };
  }

  async run(): Promise<Manifest> {
    const { manifest, folder } = this;
    try {
      createFolder(join(folder, "devices"));
      for await (const item of this.reader) await this.item(item);
      this.order.finish();
      this.memory?.flush();
      for (const file of this.files) file.flush();
      manifest.pageSize = this.reader.ram.pageSize;
      const files = this.memory?.list() ?? [];
      this.reader.ram.blocks.forEach(({ idstr, usedLength, pageSize, address }, i) => {
        const file = `ram/${files[i]!.file}`;
        const block: Manifest["ram"]["blocks"][number] = { name: idstr, length: usedLength, file };
        if (pageSize !== undefined) block.pageSize = `0x${pageSize.toString(16)}`;
        if (address !== undefined) block.address = `0x${address.toString(16)}`;
        manifest.ram.blocks.push(block);
      });
      if (this.lent.length > 0) this.writeSchema();
      this.write("manifest.json", printManifest(manifest));
      this.options.onDiagnostics?.(this.reader.diagnostics);
      return manifest;
    } finally {
      this.memory?.close();
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
    if (item.content.kind === "ram") return await this.pages(item);
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

  private async pages(item: SectionItem): Promise<string> {
    const path = [`section ${item.sectionId} ${JSON.stringify(item.idstr)}`];
    for await (const batch of item.records()) {
      await this.prepare(batch, path);
      for (let i = 0; i < batch.count; i++) this.put(batch, i, path);
    }
    return "ram";
  }

  private async prepare(batch: RamBatch, path: readonly string[]): Promise<void> {
    const { pageSize, blocks } = this.reader.ram;
    if (this.memory === undefined) {
      const folder = join(this.folder, "ram");
      createFolder(folder);
      this.memory = new BlockFiles(folder, pageSize);
      const decoder = new PageDecoder(pageSize);
      await decoder.load();
      this.scratch = { decoder, old: new KeptBefore(this.memory, pageSize), payload: new Uint8Array(pageSize) };
      for (const level of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]) {
        this.deflaters.set(level, await createDeflater(level === 1 ? "page-exact" : "exact", { level, pageSize }));
      }
    }
    for (const block of blocks.slice(this.memory.size)) {
      const { size } = this.memory;
      this.memory.add(block);
      if (this.memory.size > size) continue;
      // The name is the file's, and pages go by it.
      throw new QevmError("unsupported", `unpack: two RAM blocks of the name ${JSON.stringify(block.idstr)}`, {
        offset: batch.position[0]!,
        path: [...path, "block list"],
      });
    }
    if (batch.blockList === undefined) return;
    const { total, blocks: listed } = batch.blockList;
    this.manifest.ram.lists.push({ total, blocks: listed.length });
  }

  private put(batch: RamBatch, i: number, path: readonly string[]): void {
    const { order, reader } = this;
    const { pageSize } = reader.ram;
    const flag = batch.flag[i]!;
    const block = batch.block[i];
    const page = batch.offset[i]! / pageSize;
    if (block === undefined) {
      if (batch.continues[i] === 1) {
        throw new QevmError("unsupported", "unpack: CONTINUE on a record that is not a page", {
          offset: batch.position[i]!,
        });
      }
      order.add(KINDS.get(flag) ?? Kind.BLOCKS, 0, -1, flag === RamFlag.MEM_SIZE ? 0 : page);
      return;
    }
    const named = batch.continues[i] === 1 ? -1 : block.index;
    const final = this.last.last(block.idstr, page) === batch.position[i];
    this.scratch!.decoder.path = path;
    const [kind, detail] = this.page(batch, i, final);
    order.add(kind, detail, named, page);
  }

  /** Puts the page into its block's file, and content that must be kept besides into versions.bin. */
  private page(batch: RamBatch, i: number, final: boolean): [kind: number, detail: number] {
    const { decoder, old, payload } = this.scratch!;
    const page = decoder.applyTo(this.memory, batch, i, old);
    const body = batch.body(i);
    switch (batch.flag[i]) {
      case RamFlag.ZERO:
        if (page === undefined) return [final ? Kind.ZERO : Kind.ZERO_OLD, 0];
        return [final ? Kind.FILL : Kind.FILL_OLD, batch.fill[i]!];
      case RamFlag.PAGE:
        if (final) return [Kind.PAGE, 0];
        this.versions(body);
        return [Kind.PAGE_OLD, 0];
      case RamFlag.COMPRESS_PAGE: {
        const level = final ? this.levelOf(page!, body) : undefined;
        if (level !== undefined) return [Kind.COMPRESSED, level];
        this.store(body);
        return [final ? Kind.COMPRESSED_STORED : Kind.COMPRESSED_OLD, 0];
      }
      default:
        this.manifest.ram.xbzrle = true;
        if (final) {
          const length = encodeXbzrle(old.page, page!, payload);
          if (length > 0 && same(payload.subarray(0, length), body)) return [Kind.XBZRLE, 0];
        }
        this.store(body);
        return [final ? Kind.XBZRLE_STORED : Kind.XBZRLE_OLD, 0];
    }
  }

  /** The level at which QEMU's zlib makes this payload of the page; undefined: none does. */
  private levelOf(page: Uint8Array, payload: Uint8Array): number | undefined {
    const header = payload[1] ?? -1;
    const known = this.level.get(header);
    for (const level of known === undefined ? (LEVELS[header] ?? []) : [known]) {
      if (!same(this.deflaters.get(level)!.deflate(page), payload)) continue;
      if (payload.length > 64) this.level.set(header, level);
      return level;
    }
    return undefined;
  }

  private store(payload: Uint8Array): void {
    this.versions(Uint8Array.of(payload.length >> 8, payload.length & 0xff));
    this.versions(payload);
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

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
