import { QevmError } from "../../../bytes/errors.js";
import type { QemuFileReader } from "../../../bytes/reader.js";
import { DEFAULT_LIMITS } from "../../../codec/stream/limits.js";
import { BLOCK_HEADER, ZstdDecoder } from "../../../engine/zstd-decoder.js";
import { blockLength, frameHeader, frameKind, SKIPPABLE, unzstd } from "../compressed/zstd.js";
import { skipFrame } from "../skippable.js";
import { READ, readerAt, type OpenFile } from "./file-part.js";
import type { LaneStart } from "./lane-start.js";
import { UNIT_END, type Piece } from "./pieces.js";

/** Compressed bytes after which a unit ends with its frame. */
const UNIT = 1 << 18;

/**
 * The lane's units of a zstd file: some frames each. Every lane passes over all of the file's block headers, which is a
 * read of 64 bytes for 128 KiB of plain bytes.
 */
export async function* zstdUnits(lane: LaneStart): AsyncGenerator<Piece | typeof UNIT_END> {
  const decoder = await ZstdDecoder.create();
  const frames = new FrameWalk(lane.file, lane.start);
  // One for all units: a new buffer is fresh memory.
  const reader = readerAt(lane.file, lane.start, { bufferSize: READ });
  reader.path.push(...lane.path);
  for (let k = 0; ; k++) {
    const from = frames.offset;
    if (!(await frames.next())) return;
    if (k % lane.lanes !== lane.lane) continue;
    await reader.discard(from - reader.offset);
    const pieces = unzstd(reader, { decoder, window: lane.window, end: frames.offset });
    for await (const bytes of pieces) yield { bytes, offset: reader.offset };
    yield UNIT_END;
  }
}

/**
 * Whether a zstd file has more than one unit, and the first frame ends within `within` compressed bytes and has a
 * window of at most `window` bytes.
 */
export async function hasSeveralFrames(
  file: OpenFile,
  start: number,
  most: { within: number; window: number },
): Promise<boolean> {
  const frames = new FrameWalk(file, start, most);
  return (await frames.next()) && (await frames.next());
}

/** The window of the first frame, where it is not above `most` bytes: zero otherwise, as for what is no frame. */
export async function firstWindow(
  file: OpenFile,
  start: number,
  most: number = DEFAULT_LIMITS.windowBytes,
): Promise<number> {
  const reader = readerAt(file, start, { bufferSize: 64 });
  try {
    while ((await frameKind(reader)) === "skippable") await skipFrame(reader, SKIPPABLE);
    return (await frameHeader(reader, most)).window;
  } catch (error) {
    if (error instanceof QevmError) return 0;
    throw error;
  }
}

/** Passes over frames without decompressing them. */
class FrameWalk {
  private readonly reader: QemuFileReader;
  private over = false;

  constructor(
    file: OpenFile,
    private readonly start: number,
    private readonly most = { within: Infinity, window: Infinity },
  ) {
    this.reader = readerAt(file, start, { bufferSize: 64 });
  }

  get offset(): number {
    return this.reader.offset;
  }

  /**
   * Moves to the end of the next unit. What is damaged or cut belongs to the last unit, where the decompressor will
   * find it. False: there is none.
   */
  async next(): Promise<boolean> {
    const from = this.offset;
    while (!this.over && this.offset - from < UNIT) {
      try {
        if ((await frameKind(this.reader)) === "none") this.over = true;
        else await this.frame();
      } catch (error) {
        if (!(error instanceof QevmError)) throw error;
        this.over = true;
        await this.reader.discardRest();
      }
    }
    return this.offset > from;
  }

  private async frame(): Promise<void> {
    const { reader } = this;
    if ((await frameKind(reader)) === "skippable") {
      await skipFrame(reader, SKIPPABLE);
      return;
    }
    const { checksum, window } = await frameHeader(reader, Infinity);
    if (window > this.most.window) throw reader.error("limit", "zstd window");
    for (let last = false; !last;) {
      await reader.need(BLOCK_HEADER, "a zstd block header");
      const block = blockLength(reader);
      last = block.last;
      await reader.discard(block.length);
      if (this.offset - this.start > this.most.within) throw reader.error("limit", "zstd frame");
    }
    if (checksum) await reader.discard(4);
  }
}
