import { availableParallelism } from "node:os";
import type { QemuFileReader } from "../../../bytes/reader.js";
import { bzip2Limit } from "../compressed/bzip2.js";
import { withoutFirst, type Progress } from "../compressed/progress.js";
import { DECOMPRESSORS } from "../compressed/decompressors.js";
import { unzstd } from "../compressed/zstd.js";
import { copyShared } from "../../threads/index.js";
import type { Compression } from "../detect.js";
import { Bzip2Check } from "./bzip2-check.js";
import type { OpenFile } from "./file-part.js";
import type { LaneStart } from "./lane-start.js";
import { Lanes } from "./lanes.js";
import { LOAD } from "./pieces.js";
import { xzBlocks } from "./xz-units.js";
import { ZstdAhead } from "./zstd-ahead.js";
import { firstWindow, hasSeveralFrames } from "./zstd-units.js";

/** Most threads for a file. */
const MOST_LANES = 8;
/** Plain bytes that all lanes together may be ahead. */
const AHEAD = 128 << 20;
/**
 * Slots of the only lane, 2 MiB: a fresh page of memory costs as much as decompressing it. Of one of several lanes: the
 * units of `pzstd` and bzip2 have 5 to 8 MiB, and a lane that is not waited for should have room for one.
 */
const SLOTS = 8;
const UNIT_SLOTS = 32;
/** Fewer threads are faster with one that is ahead than side by side. */
const FRAME_LANES = 4;
/** zstd frames that lanes take side by side: their compressed bytes and their window, of which each lane has one. */
const FRAMES = { within: 16 << 20, window: 16 << 20 };

interface InThreads {
  /** Bytes of the file. */
  length: number;
  window?: number | undefined;
  /** For tests: how many threads, and whether those that are not waited for are. */
  lanes?: number | undefined;
  ready?: boolean | undefined;
}

/**
 * Decompresses the rest of a file by other threads: xz's and bzip2's blocks side by side, zstd's frames as well or by
 * one thread that is ahead, anything else in one thread while this one decodes what came before. Undefined where there
 * is one processor only. Memory: up to 128 MiB of plain bytes that wait, and a decompressor for each thread. Errors
 * when reading: as in this thread.
 */
export async function inThreads(
  kind: Compression,
  reader: QemuFileReader,
  file: OpenFile,
  { length, window, lanes: asked, ready }: InThreads,
): Promise<Progress | undefined> {
  const lanes = asked ?? Math.min(availableParallelism(), MOST_LANES);
  if (lanes < 2) return undefined;
  const start = { kind, file, start: reader.offset, path: [...reader.path], lanes, window };
  if (kind === "bzip2") {
    const limit = await bzip2Limit(reader);
    return limit === undefined ? undefined : new ThreadProgress(reader, { ...start, limit }, UNIT_SLOTS);
  }
  if (kind === "xz") {
    const blocks = await xzBlocks(file, reader.offset, length);
    if (blocks !== undefined && blocks.length > 1) {
      const largest = blocks.reduce((most, { plain }) => Math.max(most, plain), 0);
      const wanted = 2 ** Math.ceil(Math.log2(largest / LOAD + 1));
      const most = 2 ** Math.floor(Math.log2(AHEAD / LOAD / lanes));
      return new ThreadProgress(reader, { ...start, blocks }, Math.max(UNIT_SLOTS, Math.min(wanted, most)));
    }
  }
  if (kind === "zstd") {
    const side = lanes >= FRAME_LANES && (await hasSeveralFrames(file, reader.offset, FRAMES));
    if (side) return new ThreadProgress(reader, start, UNIT_SLOTS);
    const ahead = await ZstdAhead.begin(file, await firstWindow(file, reader.offset, window));
    if (ready === true) await ahead?.ready();
    if (ahead !== undefined) return new AheadProgress(reader, ahead, window);
  }
  return new ThreadProgress(reader, { ...start, lanes: 1 }, SLOTS);
}

/** zstd with a thread that is ahead. */
class AheadProgress implements Progress {
  plain = 0;
  readonly chunks = this.all();
  readonly copy = copyShared;

  constructor(
    private readonly reader: QemuFileReader,
    private readonly decoder: ZstdAhead,
    private readonly window: number | undefined,
  ) {}

  get offset(): number {
    return Math.max(this.reader.offset, this.decoder.offset);
  }

  private async *all(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of unzstd(this.reader, { ahead: this.decoder, window: this.window })) {
        this.plain += chunk.length;
        yield chunk;
      }
    } finally {
      this.decoder.close();
    }
  }
}

/** What lanes give, in the order of the file. */
class ThreadProgress implements Progress {
  offset: number;
  plain = 0;
  readonly chunks = this.all();
  readonly copy = copyShared;
  /** Bytes that were given. */
  private given = 0;

  /** @param reader at the first compressed byte, where it stays unless this thread has to go on */
  constructor(
    private readonly reader: QemuFileReader,
    private readonly start: Omit<LaneStart, "lane">,
    private readonly slots: number,
  ) {
    this.offset = reader.offset;
  }

  private async *all(): AsyncGenerator<Uint8Array> {
    const { start, reader } = this;
    let lanes: Lanes | undefined;
    const check = start.kind === "bzip2" ? new Bzip2Check(start.start, start.limit!) : undefined;
    try {
      lanes = new Lanes(start, this.slots);
      yield* this.through(lanes, check);
      if (check === undefined) return;
    } catch (error) {
      // A thread that did not start, or what only this thread can say as it is to be said.
      if (this.given > 0 && check === undefined && start.kind !== "xz") throw error;
    } finally {
      await lanes?.close();
    }
    yield* check === undefined
      ? this.here((await DECOMPRESSORS[start.kind]())(reader, { window: start.window }), this.given)
      : this.here(await check.goOn(reader), check.given);
  }

  /** What the lanes decompress; with `check` up to the first thing that is not as it has to be. */
  private async *through(lanes: Lanes, check: Bzip2Check | undefined): AsyncGenerator<Uint8Array> {
    for await (const slot of lanes.slots()) {
      for (let i = 0, at = 0; i < slot.count; i++) {
        const offset = slot.offset(i, 1);
        const bit = slot.starts[i]!;
        const n = slot.lengths[i]!;
        const kind = slot.flags[i]!;
        if (kind !== 0) {
          if (check?.takes(kind, offset, bit, n) === true) continue;
          return;
        }
        this.offset = offset;
        this.given += n;
        this.plain = this.given + bit;
        if (check !== undefined) check.given += n;
        yield slot.output.subarray(at, at + n);
        at += n;
      }
    }
  }

  /** This thread's decompressor, without its first `known` bytes, which were given. */
  private async *here(chunks: AsyncGenerator<Uint8Array>, known: number): AsyncGenerator<Uint8Array> {
    for await (const chunk of withoutFirst(chunks, known)) {
      this.offset = this.reader.offset;
      this.given += chunk.length;
      this.plain = this.given;
      yield chunk;
    }
  }
}
