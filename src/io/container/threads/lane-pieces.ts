import { DECOMPRESSORS } from "../compressed/decompressors.js";
import { bzip2Units } from "./bzip2-units.js";
import { READ, readerAt } from "./file-part.js";
import type { LaneStart } from "./lane-start.js";
import type { Piece, UNIT_END } from "./pieces.js";
import { xzUnits } from "./xz-units.js";
import { zstdUnits } from "./zstd-units.js";

/** What a lane decompresses, in order. Errors: those of the format. */
export function lanePieces(start: LaneStart): AsyncGenerator<Piece | typeof UNIT_END> {
  if (start.lanes > 1) {
    if (start.kind === "bzip2") return bzip2Units(start, start.limit!);
    if (start.kind === "xz") return xzUnits(start, start.blocks!);
    if (start.kind === "zstd") return zstdUnits(start);
  }
  return wholeFile(start);
}

async function* wholeFile({ kind, file, start, path, window }: LaneStart): AsyncGenerator<Piece> {
  const reader = readerAt(file, start, { bufferSize: READ });
  reader.path.push(...path);
  const decompressor = await DECOMPRESSORS[kind]();
  for await (const bytes of decompressor(reader, { window })) yield { bytes, offset: reader.offset };
}
