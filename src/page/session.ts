/** One dropped file and everything that is asked about it. It runs in the worker, and uses nothing of a page. */
import { QevmError } from "../bytes/errors.js";
import { readFully } from "../bytes/source.js";
import { fileSize } from "../bytes/text.js";
import { windowUnits } from "../analyse/dump/window.js";
import { explainSource, wrappedIn } from "../analyse/explain/explain.js";
import { inspectStream } from "../analyse/inspect/inspect.js";
import { inspectRecording } from "../analyse/inspect/recording.js";
import { deviceDocument, deviceLines, devicesLines, markText } from "../analyse/text/devices.js";
import { explainDocument, inspectDocument } from "../analyse/text/documents.js";
import { envelope, type About } from "../analyse/text/envelope.js";
import { explainLines } from "../analyse/text/explain.js";
import { inspectLines } from "../analyse/text/inspect.js";
import { printedJson } from "../analyse/text/json-pieces.js";
import { escapedControls, refusal, warningText } from "../analyse/text/lines.js";
import { recordingLines } from "../analyse/text/recording.js";
import { reportStream } from "../analyse/report/report.js";
import { detect } from "../io/container/detect.js";
import { openInput } from "../io/container/input.js";
import type { RecordedFiles } from "../io/container/is-recorded.js";
import { openRecordedFiles } from "../io/container/open-files.js";
import { readQcow2 } from "../io/container/qcow2/image.js";
import { snapshotDate, vmStateSize } from "../io/container/qcow2/snapshots.js";
import { readPiece } from "../io/container/sources.js";
import { containerName, type Input } from "../io/container/types.js";
import { loadCatalogue } from "../io/catalogue/load.js";
import { readableAgain, type Again } from "../io/transport/spool.js";
import { openMemory, type GuestMemory } from "../guest/read/open-memory.js";
import { StreamReader } from "../codec/stream/index.js";
import { deviceToPlain } from "../codec/vmstate/plain.js";
import type { Reopening } from "./browser/spool.js";
import { inputOf, type FileBytes, type Told } from "./file-bytes.js";
import type * as P from "./protocol.js";
import { Watch } from "./watch.js";

/** Version of the program that made the page. */
export function version(): string {
  return PROGRAM.replace(/^qevm /u, "");
}

/** How device state is decoded, as by every command. */
export const DECODING = { lenient: false, limits: {}, catalogue: loadCatalogue };
/** Columns of a block's strip. */
const CELLS = 256;
/** Lines shown of what was found in one device, and in all. */
const MOST_OF_ONE = 12;
const MOST_FOUND = 400;

export class Session {
  private watch: Watch | undefined;
  private memoryOpened: Promise<GuestMemory> | undefined;
  private lenient = false;
  private stream: Promise<Again> | undefined;

  constructor(
    private readonly opening: P.Opening,
    private readonly tell: Told,
  ) {}

  private get name(): string {
    return this.opening.name;
  }

  private input(what: string): FileBytes | RecordedFiles {
    return inputOf(this.opening, what, this.tell);
  }

  /** Errors: those of a qcow2 header. */
  async look(): Promise<P.Look> {
    const source = this.input("opening");
    if (!("readAt" in source)) return { snapshots: [] };
    const { kind } = detect(await readPiece(source, 0, Math.min(512, source.length)));
    if (kind !== "qcow2") return { snapshots: [] };
    const { snapshots } = await readQcow2(source);
    const saved = snapshots.filter((one) => vmStateSize(one) > 0n);
    return {
      snapshots: saved.map((one) => ({
        id: one.id,
        name: one.name,
        date: snapshotDate(one),
        size: fileSize(Number(vmStateSize(one))),
      })),
    };
  }

  async inspect(): Promise<P.Summary> {
    try {
      const { inspection, lines } = await this.inspected();
      const warnings = inspection.warnings.map((one) => escapedControls(warningText(one)));
      return { lines, warnings, refused: false };
    } catch (error) {
      return { lines: refusedLines("inspect", this.name, error), warnings: [], refused: true };
    }
  }

  /** What `inspect` finds, its lines, and its document. */
  private async inspected() {
    const source = this.input("reading");
    if (!("readAt" in source)) {
      const { recording } = await openRecordedFiles(source, DECODING);
      const inspection = await inspectRecording(recording, DECODING);
      return { inspection, lines: recordingLines(this.name, inspection), document: inspectDocument(inspection) };
    }
    const { snapshot } = this.opening;
    const input = await openInput(source, { snapshot, unfinished: false, stream: DECODING });
    try {
      const { containers } = input;
      const container = containerName(containers);
      const inspection = { ...(await inspectStream(input, DECODING)), container, containers };
      const lines = inspectLines(this.name, inspection, containers);
      return { inspection, lines, document: inspectDocument(inspection, containers) };
    } finally {
      await input.close?.();
    }
  }

  /** Reads the whole stream. Errors: io, usage; those of containers' headers. */
  async survey(): Promise<P.Survey> {
    const watch = new Watch();
    const { explained, containers } = await this.explained(undefined, "checking", watch);
    this.watch = watch;
    const { inspection, faults: damage } = explained;
    const { reader, devices } = watch;
    const sections = inspection.sections.map(({ section: name, streamOffset: offset, sectionLength: length }) => ({
      name,
      offset,
      length,
    }));
    return {
      explained: explainLines(this.name, explained, containers),
      damaged: damage.length > 0,
      damage: damage.map(({ error }) => escapedControls(error.message)),
      pageSize: inspection.pageSize,
      blocks: reader.ram.blocks.map(({ idstr, usedLength }, k) => ({
        name: idstr,
        length: usedLength,
        strip: this.strip(k, 0, Infinity, CELLS),
      })),
      deviceLines: devicesLines(devices),
      devices: devices.map(({ idstr, instanceId, versionId, offset, content }) => ({
        name: idstr,
        instance: instanceId,
        version: versionId,
        offset,
        size: fileSize(
          content.kind === "device" ? content.length : content.kind === "opaque" ? content.bytes.length : 0,
        ),
        note: content.kind === "opaque" ? "not understood" : content.kind === "device" ? markText(content) : "",
      })),
      sections,
      start: reader.start,
      end: reader.start + inspection.streamLength,
    };
  }

  async explain(text: string): Promise<{ lines: string[]; damaged: boolean }> {
    const { explained, containers } = await this.explained(text === "" ? undefined : text, "explaining");
    return { lines: explainLines(this.name, explained, containers), damaged: explained.faults.length > 0 };
  }

  private async explained(text: string | undefined, what: string, watch?: Watch) {
    const input = await this.openAsItIs(what);
    try {
      const wrapped = wrappedIn(input.containers);
      const more = { name: this.name, ...wrapped, ...(watch === undefined ? {} : { watch }) };
      const explained = await explainSource(input, text, { ...DECODING, ...more });
      return { explained, containers: wrapped.containers, container: containerName(input.containers) };
    } finally {
      await input.close?.();
    }
  }

  private async openAsItIs(what: string): Promise<Input> {
    const { snapshot } = this.opening;
    return await openInput(this.input(what), { snapshot, unfinished: true, incomplete: true, stream: DECODING });
  }

  /** Part of a block's map, in pages. */
  strip(block: number, from: number, to: number, cells: number): P.Strip {
    const { map, reader } = this.surveyed();
    const { first, end, strip } = map.part(reader.ram.blocks[block]!, { from, to }, cells);
    return { from: first, to: end, cells: strip.cells.map((cell) => [...cell]), totals: [...strip.totals] };
  }

  device(index: number): P.DeviceValues {
    const item = this.surveyed().devices[index]!;
    const { content } = item;
    const values = content.kind === "device" ? deviceToPlain(content.state) : undefined;
    return { lines: deviceLines(item), values };
  }

  /** Devices whose names or values have a text in them, whatever its case. */
  find(text: string): P.Hit[] {
    const wanted = text.toLowerCase();
    const hits: P.Hit[] = [];
    let left = MOST_FOUND;
    for (const [device, item] of this.surveyed().devices.entries()) {
      const [head = "", ...lines] = deviceLines(item);
      const found = lines.filter((line) => line.toLowerCase().includes(wanted));
      if (found.length === 0 && !head.toLowerCase().includes(wanted)) continue;
      const shown = found.slice(0, Math.min(left, MOST_OF_ONE));
      left -= shown.length;
      hits.push({ device, lines: shown, more: found.length - shown.length });
    }
    return hits;
  }

  private surveyed(): Watch {
    if (this.watch === undefined) throw new QevmError("usage", "the stream was not read yet");
    return this.watch;
  }

  /** Guest memory; strict first, as the program, and what can be read of a damaged stream else. */
  private guest(): Promise<GuestMemory> {
    const { snapshot } = this.opening;
    const open = async (lenient: boolean): Promise<GuestMemory> => {
      const more = { snapshot, unfinished: lenient, stream: DECODING };
      const source = await openedAgain((what) => openInput(this.input(what), more), "looking for pages");
      return await openMemory(source, { ...DECODING, lenient });
    };
    this.memoryOpened ??= open(false).catch((error: unknown) => {
      if (error instanceof QevmError && error.code === "usage") throw error;
      this.lenient = true;
      return open(true);
    });
    return this.memoryOpened;
  }

  async memory(): Promise<P.MemoryFacts> {
    const memory = await this.guest();
    const facts = {
      blocks: memory.blocks.map(({ name, length }) => ({ name, length })),
      cpus: memory.cpus.map(({ instance }) => instance),
      lenient: this.lenient,
      warnings: memory.warnings.slice(0, 20).map((one) => escapedControls(warningText(one))),
    };
    try {
      const { segments, how } = memory.layout;
      return { ...facts, segments: [...segments], why: how.join("; ") };
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      return { ...facts, segments: [], why: error.message };
    }
  }

  /** Bytes of guest memory. Errors: as `GuestMemory`. */
  async read(space: P.Space, at: string, length: number): Promise<P.Bytes> {
    const memory = await this.guest();
    const address = BigInt(at);
    if (space.kind === "virtual") return { bytes: await memory.readVirtual(address, length, space.cpu) };
    if (space.kind === "physical") return { bytes: await memory.readPhysical(Number(address), length) };
    return { bytes: await memory.readBlock(space.name, Number(address), length) };
  }

  /** Pieces of a block from its first byte to its last. */
  async *block(name: string): AsyncGenerator<Uint8Array> {
    const memory = await this.guest();
    const length = memory.blocks.find((one) => one.name === name)?.length ?? 0;
    const piece = 1 << 20;
    for (let at = 0; at < length; at += piece) yield await memory.readBlock(name, at, Math.min(piece, length - at));
  }

  /** Bytes of the stream from an absolute offset on, and what they are. */
  async streamAt(at: number, length: number): Promise<P.StreamBytes> {
    this.stream ??= this.openStream();
    const { source } = await this.stream;
    const origin = source.offset ?? 0;
    const checkpoint = this.watch?.checkpoints.before(at);
    const bytes = new Uint8Array(length);
    // From there on it is decoded: what is not read anywhere is read forward once.
    await readFully(source, (checkpoint?.offset ?? origin) - origin, bytes.subarray(0, 1));
    const n = await readFully(source, at - origin, bytes);
    const shown = bytes.subarray(0, n);
    if (n === 0) return { at, bytes: shown, units: [] };
    try {
      return { at, bytes: shown, units: await windowUnits(source, checkpoint, { from: at, to: at + n }, DECODING) };
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
      return { at, bytes: shown, units: [], why: escapedControls(error.message) };
    }
  }

  private async openStream(): Promise<Again> {
    return readableAgain(await openedAgain((what) => this.openAsItIs(what), "reading"));
  }

  async report(): Promise<Blob> {
    const { snapshot } = this.opening;
    const { lenient: _, ...decoding } = DECODING;
    const source = this.input("reading and verifying");
    const { html } = await reportStream(source, { ...decoding, snapshot, name: this.name, program: PROGRAM });
    return new Blob([html], { type: "text/html" });
  }

  async json(which: P.Document): Promise<Blob> {
    return blobOf(printedJson(await this.document(which)));
  }

  private about(which: P.Document, container: string | null): About {
    return { qevm: version(), schema: `${which}/1`, file: this.name, container };
  }

  private async document(which: P.Document): Promise<unknown> {
    const { snapshot } = this.opening;
    if (which === "explain") {
      const { explained, container } = await this.explained(undefined, "explaining");
      return envelope(this.about(which, container), ...explainDocument(explained));
    }
    if (which === "inspect") {
      const { inspection, document } = await this.inspected();
      return envelope(this.about(which, inspection.container), ...document);
    }
    const input = await openInput(this.input("reading"), { snapshot, unfinished: false, stream: DECODING });
    try {
      const stream = new StreamReader(input, DECODING);
      const devices: { toJSON: () => object }[] = [];
      for await (const item of stream) {
        if (item.kind === "section" && item.type === "full") devices.push({ toJSON: () => deviceDocument(item) });
      }
      return envelope(this.about(which, containerName(input.containers)), { devices }, stream.diagnostics);
    } finally {
      await input.close?.();
    }
  }
}

/** A JSON document that comes in pieces. */
export function blobOf(pieces: Iterable<string>): Blob {
  const parts: Blob[] = [];
  for (const piece of pieces) parts.push(new Blob([piece]));
  return new Blob(parts, { type: "application/json" });
}

/** Set by the build: `qevm 0.1.0`. */
declare const PROGRAM: string;

/** What the program prints on stderr where it refuses a file. Errors: what is not a `QevmError`. */
export function refusedLines(command: string, file: string, error: unknown): string[] {
  if (!(error instanceof QevmError)) throw error;
  const text = error.offset === undefined ? `qevm ${command}: ${error.message}` : refusal(file, error);
  return escapedControls(text).split("\n");
}

/** Opened so that it can be opened again. @param what is done while it is read first */
export async function openedAgain(open: (what: string) => Promise<Input>, what: string): Promise<Input & Reopening> {
  return Object.assign(await open(what), { reopen: () => open("reading up to the place") });
}
