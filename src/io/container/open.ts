import { QevmError } from "../../bytes/errors.js";
import { QemuFileReader } from "../../bytes/reader.js";
import { Turns } from "../transport/turns.js";
import { decompressed, type Expansion } from "./compressed/decompressed.js";
import { detect, type Compression } from "./detect.js";
import { brotliNote } from "./brotli.js";
import { readPiece, RestSource, SliceSource, startingAt } from "./sources.js";
import { derive, type ByteSource, isRandom } from "../../bytes/source.js";
import { isStreamHead } from "../../codec/stream/search.js";
import type { Container, Found, Input, InputOptions, Step } from "./types.js";

/** Maximum nesting of containers. */
const DEEPEST = 4;
/** Search range for a stream after foreign bytes: one that begins at 1 MiB is found. */
const FARTHEST = (1 << 20) + 8;

/**
 * Detects the kind of a source and removes the containers around the stream. A bare stream keeps its source at no cost.
 * Errors: those of the container headers; usage (an ambiguous snapshot); unsupported (qcow2 on a pipe).
 */
export async function openContainers(source: ByteSource, options: InputOptions = {}): Promise<Input> {
  const containers: Container[] = [];
  let inner = source;
  let { offset } = options;
  let skipped = false;
  const begin = async (from: ByteSource, at: number): Promise<void> => {
    inner = await startingAt(from, at);
    if (at > 0) containers.push({ kind: "foreign", length: at });
    offset = undefined;
    skipped = true;
  };
  let what: string | undefined;
  let outer: Expansion["outer"];
  for (;;) {
    if (offset !== undefined && (await hasStreamAt(inner, offset))) await begin(inner, offset);
    const found = await detectSource(inner);
    const isBare = found.kind === "stream" || found.kind === "unknown" || found.kind === "foreign";
    if (isBare && offset !== undefined) {
      await begin(found.source, offset);
      continue;
    }
    // The start of the stream was given, so nothing is searched for.
    if (found.kind === "stream" || found.kind === "unknown" || (isBare && skipped)) {
      inner = found.source;
      if (found.kind === "unknown") what = brotliNote(found.head);
      break;
    }
    if (containers.length >= DEEPEST) throw new QevmError("limit", `more than ${DEEPEST} containers inside each other`);
    const { expansion, windowBytes } = options.stream?.limits ?? {};
    const step = await open(found, options, { most: expansion, window: windowBytes, outer });
    containers.push(step.container);
    outer = step.compressed ?? outer;
    inner = step.source;
    if (!step.last) continue;
    if (offset !== undefined) await begin(inner, offset);
    break;
  }
  if (options.snapshot !== undefined && !containers.some(({ kind }) => kind === "qcow2")) {
    throw new QevmError("usage", "--snapshot is for qcow2 images");
  }
  return Object.assign(copyOf(inner), { containers, stored: { what, endless: !isRandom(source) } });
}

/** A new object for the same source, to which properties can be added. */
function copyOf(source: ByteSource): ByteSource {
  const turns = new Turns();
  return derive(source, (into) => {
    const got = source.read(into);
    const turn = turns.due();
    // Both are awaited together, so that a failing read is reported to the caller and is not an unhandled rejection.
    return turn === undefined ? got : Promise.all([got, turn]).then(([n]) => n);
  });
}

/** Whether a stream begins at an offset of a random-access source. */
async function hasStreamAt(source: ByteSource, offset: number): Promise<boolean> {
  if (!isRandom(source) || offset > source.length) return false;
  return isStreamHead(await readPiece(source, offset, 64));
}

/** Reads the first bytes. The caller must use the returned source instead of the given one. */
async function detectSource(source: ByteSource): Promise<Found> {
  if (isRandom(source)) {
    let head = await readPiece(source, 0, Math.min(512, source.length));
    let { kind, foreign } = detect(head);
    if (kind === "unknown") {
      head = await readPiece(source, 0, Math.min(FARTHEST, source.length));
      ({ kind, foreign } = detect(head));
    }
    return { kind, source, reader: new QemuFileReader(source), foreign, head };
  }
  const reader = new QemuFileReader(source, { bufferSize: FARTHEST });
  await reader.fill(512);
  let head = reader.buffer.subarray(reader.position, reader.end);
  let { kind, foreign } = detect(head);
  if (kind === "unknown") {
    await reader.fill(FARTHEST);
    head = reader.buffer.subarray(reader.position, reader.end);
    ({ kind, foreign } = detect(head));
  }
  return { kind, source: new RestSource(reader), reader, foreign, head };
}

async function open(found: Found, options: InputOptions, expansion: Expansion): Promise<Step> {
  const { kind, source, reader, foreign } = found;
  switch (kind) {
    case "libvirt":
      return await (await import("./libvirt/open.js")).openLibvirt(found, options, expansion);
    case "qcow2":
      return await (await import("./qcow2/open.js")).openQcow2(source, options);
    case "xen":
      return await (await import("./xen/open.js")).openXen(found);
    case "foreign": {
      const container: Container = { kind: "foreign", length: foreign };
      if (isRandom(source)) return { container, source: new SliceSource(source, foreign), last: true };
      await reader.discard(foreign, "bytes before the stream");
      return { container, source: new RestSource(reader), last: true };
    }
    default: {
      const plain = await decompressed(kind as Compression, reader, expansion);
      return { container: { kind: kind as Compression }, source: plain, compressed: plain.compressed, last: false };
    }
  }
}
