import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync } from "node:fs";
import { QevmError } from "../../bytes/errors.js";
import { attempt, readAll } from "../../io/transport/attempt.js";
import { AtomicFile } from "../../io/transport/file.js";
import { parseJson } from "../../io/transport/parse-json.js";
import type { CpuState } from "../cores/cpu-state.js";
import type { Layout } from "../layout-types.js";
import type { PageFinder, PagePlaces, PageParts } from "../pages/page-places.js";

/**
 * An index of a stream, kept next to it: where the records of each page are.
 *
 * | offset | size | field                                                          |
 * |--------|------|----------------------------------------------------------------|
 * | 0      | 8    | "QEVMPAGE"                                                     |
 * | 8      | u32  | format version, 3                                              |
 * | 12     | u32  | length of the head                                             |
 * | 16     | 32   | SHA-256 of the head                                            |
 * | 48     |      | the head, JSON                                                 |
 * |        |      | chunks, each with its length and SHA-256 in the head           |
 *
 * A chunk holds 12 bytes a record: u32 page in the chunk, the top bit set for an XBZRLE record; f64 absolute stream
 * offset. Little-endian. Chunks are read when a page in them is wanted, and checked then.
 */
interface IndexHead {
  /** The file it is about. */
  stamp: FileStamp;
  /** Which stream in the file: container, snapshot, the options that change how it is read. */
  variant: string;
  pageSize: number;
  machine: string | null;
  blocks: { name: string; length: number }[];
  layout: Layout | null;
  /** The CPUs with all their fields. */
  cpus: readonly CpuState[];
  /** pseries: the process table that the guest registered, hexadecimal. */
  processTable: string | null;
  /** Blocks that the stream carries a page of. */
  carried: string[];
  chunks: Chunk[];
}

/** The facts that identify a file. */
export interface FileStamp {
  size: number;
  /** Nanoseconds, decimal. */
  modified: string;
  /** SHA-256 over 64 samples of 4 KiB at equal distances, the first and last bytes among them. */
  content: string;
}

interface Chunk {
  block: string;
  /** Number of the chunk in its block. */
  index: number;
  /** Offset after the head. */
  at: number;
  length: number;
  sha256: string;
}

const MAGIC = "QEVMPAGE";
const VERSION = 3;
const LEAD = 48;
const CHUNK_PAGES = 1 << 15;
const ENTRY = 12;
const DELTA = 0x8000_0000;
const SAMPLES = 64;
const SAMPLE = 4096;
/** Bytes of a head at most: a chunk of 128 MiB of memory needs 200. */
const MOST_HEAD = 64 << 20;
/** Bytes of a chunk at most: each of its pages was sent 160 times. */
const MOST_CHUNK = CHUNK_PAGES * ENTRY * 160;
/** Records of chunks that are kept after use. */
const MOST_KEPT = 1 << 23;

/** Looks at a file; at most 256 KiB of it are read. Errors: io. */
export function stampFile(path: string): FileStamp {
  const fd = attempt(path, () => openSync(path, "r"));
  try {
    const { size, mtimeNs } = fstatSync(fd, { bigint: true });
    const hash = createHash("sha256");
    const length = Number(size);
    const sample = new Uint8Array(SAMPLE);
    for (let k = 0; k < SAMPLES; k++) {
      const at = Math.floor((Math.max(0, length - SAMPLE) * k) / (SAMPLES - 1));
      hash.update(sample.subarray(0, readAll(path, fd, sample, at)));
    }
    return { size: length, modified: String(mtimeNs), content: hash.digest("hex") };
  } finally {
    closeSync(fd);
  }
}

/** Writes an index atomically. Errors: io. */
export function writeIndex(
  path: string,
  head: Omit<IndexHead, "chunks" | "carried">,
  places: Pick<PagePlaces, "pages" | "has">,
): void {
  const chunks: Chunk[] = [];
  const bodies: Uint8Array[] = [];
  let at = 0;
  let open: { block: string; index: number; entries: number[] } | undefined;
  const close = (): void => {
    if (open === undefined) return;
    const body = encodeChunk(open.entries);
    chunks.push({ block: open.block, index: open.index, at, length: body.length, sha256: digest(body) });
    bodies.push(body);
    at += body.length;
  };
  for (const { block, offset, base, zero, deltas } of places.pages()) {
    const page = offset / head.pageSize;
    const index = Math.floor(page / CHUNK_PAGES);
    if (open === undefined || open.block !== block || open.index !== index) {
      close();
      open = { block, index, entries: [] };
    }
    const within = page % CHUNK_PAGES;
    // A page begins as zeros, so a ZERO record needs no entry.
    if (base !== 0 && !zero) open.entries.push(within, base);
    for (const delta of deltas) open.entries.push(within + DELTA, delta);
  }
  close();
  const carried = head.blocks.map(({ name }) => name).filter((name) => places.has(name));
  const text = Buffer.from(JSON.stringify({ ...head, carried, chunks } satisfies IndexHead));
  const lead = Buffer.alloc(LEAD);
  lead.write(MAGIC, "latin1");
  lead.writeUInt32LE(VERSION, 8);
  lead.writeUInt32LE(text.length, 12);
  lead.write(digest(text), 16, "hex");
  const file = new AtomicFile(path);
  try {
    for (const bytes of [lead, text, ...bodies]) void file.write(bytes);
    file.commit();
  } finally {
    file.abort();
  }
}

function encodeChunk(entries: readonly number[]): Uint8Array {
  const bytes = new Uint8Array((entries.length / 2) * ENTRY);
  const view = new DataView(bytes.buffer);
  for (let k = 0; k < entries.length; k += 2) {
    view.setUint32((k / 2) * ENTRY, entries[k]!, true);
    view.setFloat64((k / 2) * ENTRY + 4, entries[k + 1]!, true);
  }
  return bytes;
}

/** The records of a chunk: those of page N of it are from `starts[N]` up to `starts[N + 1]`. */
interface Places {
  starts: Uint32Array;
  positions: Float64Array;
}

/** An index that was read: pages are looked up in it, chunk by chunk. */
export class PageIndex implements PageFinder {
  private readonly chunks = new Map<string, Map<number, Chunk>>();
  private readonly carried: ReadonlySet<string>;
  /** Those used last, the oldest first. */
  private readonly loaded = new Map<Chunk, Places>();
  private kept = 0;

  private constructor(
    private readonly path: string,
    private readonly fd: number,
    private readonly body: number,
    readonly head: IndexHead,
  ) {
    this.carried = new Set(head.carried);
    for (const chunk of head.chunks) {
      const ofBlock = this.chunks.get(chunk.block) ?? new Map<number, Chunk>();
      this.chunks.set(chunk.block, ofBlock);
      if (!ofBlock.has(chunk.index)) ofBlock.set(chunk.index, chunk);
    }
  }

  /**
   * Opens an index and compares it with the file it is meant for. Returns why it cannot be used otherwise: not there,
   * stale, damaged.
   * Errors: usage (a file that is not an index), io.
   */
  static open(path: string, stamp: FileStamp, variant: string): PageIndex | string {
    let fd: number;
    try {
      fd = openSync(path, "r");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return "it is not there yet";
      throw new QevmError("io", `${path}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
    let used = false;
    try {
      const opened = readHead(path, fd);
      const trouble = typeof opened === "string" ? opened : staleness(opened.head, stamp, variant);
      if (typeof opened === "string" || trouble !== undefined) return trouble ?? "it is damaged";
      used = true;
      return new PageIndex(path, fd, opened.body, opened.head);
    } finally {
      if (!used) closeSync(fd);
    }
  }

  has(block: string): boolean {
    return this.carried.has(block);
  }

  /** Errors: bad-value (the index is damaged), io. */
  find(block: string, offset: number): PageParts {
    const page = offset / this.head.pageSize;
    const chunk = this.chunks.get(block)?.get(Math.floor(page / CHUNK_PAGES));
    if (chunk === undefined) return { plain: 0, records: [] };
    const { starts, positions } = this.load(chunk);
    const within = page % CHUNK_PAGES;
    return { plain: 0, records: [...positions.subarray(starts[within], starts[within + 1])] };
  }

  close(): void {
    closeSync(this.fd);
  }

  private load(chunk: Chunk): Places {
    const found = this.loaded.get(chunk);
    if (found !== undefined) return found;
    const bytes = readExactly(this.path, this.fd, this.body + chunk.at, chunk.length);
    const places = bytes === undefined || digest(bytes) !== chunk.sha256 ? undefined : placesIn(bytes);
    if (places === undefined) throw new QevmError("bad-value", DAMAGED);
    this.loaded.set(chunk, places);
    this.kept += places.positions.length;
    for (const [oldest, { positions }] of this.loaded) {
      if (this.kept <= MOST_KEPT || oldest === chunk) break;
      this.loaded.delete(oldest);
      this.kept -= positions.length;
    }
    return places;
  }
}

/** The entries of a chunk by their pages; those of one page keep their order. Undefined where one cannot be. */
function placesIn(bytes: Buffer): Places | undefined {
  const count = bytes.length / ENTRY;
  const pageAt = (k: number): number => bytes.readUInt32LE(k * ENTRY) & ~DELTA;
  const starts = new Uint32Array(CHUNK_PAGES + 1);
  for (let k = 0; k < count; k++) {
    const position = bytes.readDoubleLE(k * ENTRY + 4);
    if (pageAt(k) >= CHUNK_PAGES || !Number.isSafeInteger(position) || position < 0) return undefined;
    starts[pageAt(k) + 1]!++;
  }
  for (let page = 0; page < CHUNK_PAGES; page++) starts[page + 1]! += starts[page]!;
  const next = starts.slice();
  const positions = new Float64Array(count);
  for (let k = 0; k < count; k++) positions[next[pageAt(k)]!++] = bytes.readDoubleLE(k * ENTRY + 4);
  return { starts, positions };
}

/** The message for a chunk that does not fit the head of its index. */
const DAMAGED = "the index is damaged";

function staleness(head: IndexHead, stamp: FileStamp, variant: string): string | undefined {
  if (head.stamp.size !== stamp.size) return `it is of a file of ${head.stamp.size} bytes, this one has ${stamp.size}`;
  if (head.stamp.modified !== stamp.modified) return "the file was changed since";
  if (head.stamp.content !== stamp.content) return "the file has other content";
  if (head.variant !== variant) return "it is of another stream in this file, or was made with other options";
  return undefined;
}

function readHead(path: string, fd: number): { head: IndexHead; body: number } | string {
  const size = fstatSync(fd).size;
  const lead = readExactly(path, fd, 0, LEAD);
  if (size === 0) return "it is empty";
  // A user's file is not replaced.
  if (lead === undefined || lead.toString("latin1", 0, 8) !== MAGIC)
    throw new QevmError("usage", `--index ${path}: that file is not an index; it is left as it is`);
  if (lead.readUInt32LE(8) !== VERSION) return `its format has version ${lead.readUInt32LE(8)}`;
  const length = lead.readUInt32LE(12);
  if (length > Math.min(size - LEAD, MOST_HEAD)) return "it is damaged";
  const text = readExactly(path, fd, LEAD, length);
  if (text === undefined || digest(text) !== lead.toString("hex", 16, LEAD)) return "it is damaged";
  const head = headIn(text);
  if (!isHead(head)) return "it is damaged";
  const whole = head.chunks.every(({ at, length: bytes }) => LEAD + length + at + bytes <= size);
  return whole ? { head, body: LEAD + length } : "it is damaged";
}

/** A head that is not JSON, or nested deep, is damaged like one with a wrong checksum. */
function headIn(text: Buffer): unknown {
  try {
    return parseJson(text.toString(), "the index");
  } catch (error) {
    if (error instanceof QevmError) return undefined;
    throw error;
  }
}

/** Whether a head that has the right checksum also has the right form. */
function isHead(value: unknown): value is IndexHead {
  if (typeof value !== "object" || value === null) return false;
  const { stamp, blocks, carried, chunks, layout, pageSize, machine, cpus, processTable } = value as Record<
    keyof IndexHead,
    unknown
  >;
  return (
    typeof stamp === "object" &&
    stamp !== null &&
    Array.isArray(blocks) &&
    blocks.every((block) => isBlock(block)) &&
    Array.isArray(carried) &&
    carried.every((name) => typeof name === "string") &&
    Array.isArray(chunks) &&
    chunks.every((chunk) => isChunk(chunk)) &&
    (layout === null || isLayout(layout)) &&
    Array.isArray(cpus) &&
    cpus.every((cpu) => isCpu(cpu)) &&
    (processTable === null || (typeof processTable === "string" && /^0x[0-9a-f]{1,16}$/u.test(processTable))) &&
    typeof pageSize === "number" &&
    Number.isInteger(Math.log2(pageSize)) &&
    (machine === null || typeof machine === "string")
  );
}

function isCpu(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { architecture, instance, device } = value as Record<keyof CpuState, unknown>;
  const fields =
    typeof device === "object" && device !== null ? (device as Partial<CpuState["device"]>).fields : undefined;
  return typeof architecture === "string" && Number.isSafeInteger(instance) && typeof fields === "object";
}

function readExactly(path: string, fd: number, at: number, length: number): Buffer | undefined {
  const bytes = Buffer.alloc(length);
  return readAll(path, fd, bytes, at) === length ? bytes : undefined;
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function isChunk(value: unknown): value is Chunk {
  if (typeof value !== "object" || value === null) return false;
  const { block, index, at, length } = value as Record<keyof Chunk, unknown>;
  return (
    typeof block === "string" &&
    [index, at, length].every((n) => Number.isSafeInteger(n) && Number(n) >= 0) &&
    Number(length) <= MOST_CHUNK &&
    Number(length) % ENTRY === 0
  );
}

function isBlock(value: unknown): value is IndexHead["blocks"][number] {
  if (typeof value !== "object" || value === null) return false;
  const { name, length } = value as Record<keyof IndexHead["blocks"][number], unknown>;
  return typeof name === "string" && Number.isSafeInteger(length) && Number(length) >= 0;
}

function isSegment(value: unknown): value is Layout["segments"][number] {
  if (typeof value !== "object" || value === null) return false;
  const { start, length, block, offset } = value as Record<keyof Layout["segments"][number], unknown>;
  const numbers = [start, length, offset].every((n) => Number.isSafeInteger(n) && Number(n) >= 0);
  return numbers && typeof block === "string";
}

function isLayout(value: unknown): value is Layout {
  if (typeof value !== "object" || value === null) return false;
  const { segments, how } = value as Record<keyof Layout, unknown>;
  return Array.isArray(segments) && segments.every((one) => isSegment(one)) && Array.isArray(how);
}
