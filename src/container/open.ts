import { QevmError } from "../errors.js";
import { QemuFileReader } from "../qemu-file/reader.js";
import { IterableSource, type ByteSource } from "../qemu-file/source.js";
import { mergedSource } from "../recording/index.js";
import type { StreamOptions } from "../stream/index.js";
import { openSource } from "../transport/file.js";
import { Turns } from "../transport/turns.js";
import { detect, type Compression } from "./detect.js";
import {
  decodeLibvirtData,
  decodeLibvirtHeader,
  FORMATS,
  LIBVIRT_HEADER_LENGTH,
  type LibvirtData,
  type LibvirtHeader,
} from "./libvirt.js";
import { chooseSnapshot, openVmState, readQcow2 } from "./qcow2.js";
import { vmStateSize } from "./qcow2-snapshots.js";
import { isFolder, isPostcopy, openRecording } from "./recording.js";
import { isSeekable, readFully, RestSource, SliceSource } from "./sources.js";

/** One wrapping of a stream, as `inspect` tells it. */
export type Container =
  | { kind: Compression }
  | { kind: "libvirt"; offset: number; header: LibvirtHeader; format: string; data: LibvirtData }
  | { kind: "qcow2"; version: number; clusterSize: number; snapshot: string; snapshots: SnapshotSummary[] }
  /** Bytes that are none of these before the stream. */
  | { kind: "foreign"; length: number }
  /** A folder with every channel of a migration: read as one stream that holds the pages of all. */
  | { kind: "recording"; files: string[]; postcopy: boolean };

export interface SnapshotSummary {
  id: string;
  name: string;
  /** ISO 8601, UTC. */
  date: string;
  /** Bytes of VM state; 0: the snapshot is of the disk alone. */
  vmStateSize: number;
}

/** A stream seen through what it is wrapped in. */
export interface Input extends ByteSource {
  /** From the outside in; empty: the bare stream. */
  readonly containers: readonly Container[];
}

export interface InputOptions {
  /** Name or id of a qcow2 snapshot. */
  snapshot?: string | undefined;
  /** How the channels of a recording are read. */
  stream?: StreamOptions | undefined;
}

/** Wrappings inside each other that are followed. */
const DEEPEST = 4;
/** How far a stream behind foreign bytes is looked for: one that begins at 1 MiB is found. */
const FARTHEST = (1 << 20) + 8;

/** Opens a path, or `-` for standard input, through its containers; a folder is a recording. Errors: io, and as `openContainers`. */
export async function openInput(path: string, options: InputOptions = {}): Promise<Input> {
  if (isFolder(path)) return await openFolder(path, options);
  const source = openSource(path);
  try {
    return await openContainers(source, options);
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

/** A recording, its channels brought together. */
async function openFolder(path: string, options: InputOptions): Promise<Input> {
  if (options.snapshot !== undefined) throw new QevmError("usage", "--snapshot is for qcow2 images");
  const recording = openRecording(path);
  const channels = [
    recording.main,
    ...recording.multifd,
    ...recording.preempt,
    ...recording.returnPath,
    ...(recording.resumed ?? []),
  ];
  const postcopy = await isPostcopy(recording);
  const container: Container = { kind: "recording", files: channels.map(({ name }) => name), postcopy };
  return Object.assign(mergedSource(recording, options.stream), { containers: [container] });
}

/**
 * Looks at how a source begins and takes off what is wrapped round the stream. A bare stream keeps its source and pays nothing.
 * Errors: those of the container's headers; usage (which snapshot?); unsupported (qcow2 on a pipe).
 */
export async function openContainers(source: ByteSource, options: InputOptions = {}): Promise<Input> {
  const containers: Container[] = [];
  let inner = source;
  for (;;) {
    const found = await look(inner);
    if (found.kind === "stream" || found.kind === "unknown") {
      inner = found.source;
      break;
    }
    if (containers.length >= DEEPEST) throw new QevmError("limit", `more than ${DEEPEST} containers inside each other`);
    const step = await open(found, options);
    containers.push(step.container);
    inner = step.source;
    if (step.last) break;
  }
  if (options.snapshot !== undefined && !containers.some(({ kind }) => kind === "qcow2")) {
    throw new QevmError("usage", "--snapshot is for qcow2 images");
  }
  return Object.assign(view(inner), { containers });
}

/** The same source as an object of its own, to which things can be added. */
function view(source: ByteSource): ByteSource {
  const { length, offset, within } = source;
  const turns = new Turns();
  return {
    length,
    offset,
    within,
    read: (into) => {
      const got = source.read(into);
      const turn = turns.due();
      // Waited for side by side: a read that fails meanwhile is the error of who waits, not nobody's.
      return turn === undefined ? got : Promise.all([got, turn]).then(([n]) => n);
    },
    ...(source.readAt === undefined
      ? {}
      : { readAt: (position: number, into: Uint8Array) => source.readAt!(position, into) }),
    ...(source.seek === undefined ? {} : { seek: (position: number) => source.seek!(position) }),
    readAhead: source.readAhead,
    close: () => source.close?.(),
  };
}

interface Found {
  kind: ReturnType<typeof detect>["kind"];
  /** The whole source again, from its first byte. */
  source: ByteSource;
  reader: QemuFileReader;
  foreign: number;
}

/** Looks at the first bytes; the source answered is to be used instead of the one given. */
async function look(source: ByteSource): Promise<Found> {
  if (isSeekable(source)) {
    let head = await readFully(source, 0, Math.min(512, source.length));
    let { kind, foreign } = detect(head);
    if (kind === "unknown") {
      head = await readFully(source, 0, Math.min(FARTHEST, source.length));
      ({ kind, foreign } = detect(head));
    }
    return { kind, source, reader: new QemuFileReader(source), foreign };
  }
  const reader = new QemuFileReader(source, { bufferSize: FARTHEST });
  await reader.fill(512);
  let { kind, foreign } = detect(reader.buffer.subarray(reader.position, reader.end));
  if (kind === "unknown") {
    await reader.fill(FARTHEST);
    ({ kind, foreign } = detect(reader.buffer.subarray(reader.position, reader.end)));
  }
  return { kind, source: new RestSource(reader), reader, foreign };
}

interface Step {
  container: Container;
  source: ByteSource;
  /** Nothing more is looked for inside. */
  last: boolean;
}

async function open(found: Found, options: InputOptions): Promise<Step> {
  const { kind, source, reader, foreign } = found;
  switch (kind) {
    case "libvirt":
      return await openLibvirt(found);
    case "qcow2":
      return await openQcow2(source, options);
    case "foreign": {
      const container: Container = { kind: "foreign", length: foreign };
      if (isSeekable(source)) return { container, source: new SliceSource(source, foreign), last: true };
      await reader.discard(foreign, "bytes before the stream");
      return { container, source: new RestSource(reader), last: true };
    }
    default:
      return {
        container: { kind: kind as Compression },
        source: await decompressed(kind as Compression, reader),
        last: false,
      };
  }
}

async function openLibvirt({ source, reader }: Found): Promise<Step> {
  const offset = reader.offset;
  await reader.fill(LIBVIRT_HEADER_LENGTH);
  const header = decodeLibvirtHeader(reader.view(Math.min(reader.available, LIBVIRT_HEADER_LENGTH)), offset);
  if (header.dataLength > MOST_XML) {
    throw new QevmError("limit", "domain XML of the libvirt image", {
      offset: offset + 20,
      expected: `at most ${MOST_XML} bytes`,
      found: `${header.dataLength}`,
    });
  }
  await reader.needLarge(header.dataLength, "the domain XML of the libvirt image");
  const data = decodeLibvirtData(reader.view(header.dataLength).slice(), header, offset + LIBVIRT_HEADER_LENGTH);
  const format = header.version === 1 ? "raw" : FORMATS[header.format]!;
  const container: Container = { kind: "libvirt", offset, header, format, data };
  if (format !== "raw" && format !== "sparse") {
    return { container, source: await decompressed(format as Compression, reader), last: true };
  }
  const plain = isSeekable(source)
    ? new SliceSource(source, LIBVIRT_HEADER_LENGTH + header.dataLength)
    : new RestSource(reader);
  return { container, source: plain, last: true };
}

/** libvirt's own bound for a domain XML. */
const MOST_XML = 10 * 1024 * 1024 + (1 << 17);

async function openQcow2(source: ByteSource, options: InputOptions): Promise<Step> {
  if (!isSeekable(source)) {
    throw new QevmError(
      "unsupported",
      "a qcow2 image can be read from a file only, not from a pipe or inside a compressed file",
      { offset: 0 },
    );
  }
  const image = await readQcow2(source);
  const chosen = chooseSnapshot(image, options.snapshot);
  const snapshots = image.snapshots.map((snapshot) => ({
    id: snapshot.id,
    name: snapshot.name,
    date: new Date(snapshot.dateSeconds * 1000 + Math.floor(snapshot.dateNanoseconds / 1e6)).toISOString(),
    vmStateSize: Number(vmStateSize(snapshot)),
  }));
  const { version, clusterBits } = image.header;
  const container: Container = {
    kind: "qcow2",
    version,
    clusterSize: 2 ** clusterBits,
    snapshot: chosen.name,
    snapshots,
  };
  return { container, source: await openVmState(source, image, chosen), last: true };
}

/** A decompressor, its code loaded now, over what a reader has left. Offsets inside count from 0. */
async function decompressed(kind: Compression, reader: QemuFileReader): Promise<ByteSource> {
  const path = [`${kind} file`];
  reader.path.push(...path);
  const chunks = (await DECOMPRESSORS[kind]())(reader);
  const plain = new IterableSource(chunks);
  return {
    within: [...(reader.source.within ?? []), `inside ${kind}`],
    read: (into) => plain.read(into),
    close: async () => {
      await plain.close();
      await reader.source.close?.();
    },
  };
}

type Decompressor = (reader: QemuFileReader) => AsyncGenerator<Uint8Array>;

const DECOMPRESSORS: Readonly<Record<Compression, () => Promise<Decompressor>>> = {
  gzip: async () => (await import("./gzip.js")).gunzip,
  bzip2: async () => (await import("./bzip2.js")).bunzip2,
  xz: async () => (await import("./xz.js")).unxz,
  lzop: async () => (await import("./lzop.js")).unlzop,
  lz4: async () => (await import("./lz4.js")).unlz4,
  zstd: async () => (await import("./zstd.js")).unzstd,
};

/** `libvirt (xz)`, `gzip`, ...: what `inspect` prints; null for a bare stream. */
export function containerName(containers: readonly Container[]): string | null {
  if (containers.length === 0) return null;
  return containers
    .map((one) => (one.kind === "libvirt" && one.format !== "raw" ? `libvirt (${one.format})` : one.kind))
    .join(" > ");
}
