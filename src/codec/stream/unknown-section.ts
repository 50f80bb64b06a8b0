import type { Diagnostics } from "../../bytes/errors.js";
import { latin1, type QemuFileReader } from "../../bytes/reader.js";
import { PAGE_FLAGS, RamFlag } from "../ram/index.js";
import { isCommandHead } from "./command.js";
import { LATEST_VERSION, type SectionHeader } from "./section.js";
import { TypeByte } from "./types.js";

/** Bytes of a section footer. */
const FOOTER = 5;
/** The longest head that is checked after a footer: a section header, and the first RAM record. */
const LOOK_AHEAD = 1 + 4 + 1 + 255 + 8 + 8;

/** Facts from the stream before the section, which the bytes after it must fit. */
interface BeforeUnknown {
  /** Every section by its id. */
  sections: ReadonlyMap<number, SectionHeader>;
  /** Ids of iterative sections whose END was read. */
  ended: ReadonlySet<number>;
  /** Target page size in bytes. */
  pageSize: number;
}

/**
 * The length in bytes of the payload of a section that no codec knows; the reader is at its first byte and stays there.
 * The payload ends at a footer of its own section that is followed by what can follow it there: a new section, a part
 * of one that was started and has not ended, a command, or the end of the stream. Undefined: none within `most` bytes.
 * Errors: io.
 */
export async function unknownPayload(
  reader: QemuFileReader,
  sectionId: number,
  before: BeforeUnknown,
  most: number,
): Promise<number | undefined> {
  for (let at = 0; ;) {
    if (!(await reader.fill(at + FOOTER))) return undefined;
    const { buffer, position, end } = reader;
    const found = buffer.subarray(position + at, end - FOOTER + 1).indexOf(TypeByte.SECTION_FOOTER);
    if (found < 0) {
      at = end - FOOTER + 1 - position;
    } else {
      at += found;
      await reader.fill(at + FOOTER + LOOK_AHEAD);
      if (u32(reader, at + 1) === sectionId && canFollow(reader, at + FOOTER, before)) return at;
      at++;
    }
    if (at > most) return undefined;
  }
}

/**
 * RAM may come in what cannot be decoded from `offset` on: what came before it must not be taken for all of it.
 * @param unreached "count": a warning, in strict mode too
 */
export function refuseUnreached(
  reader: QemuFileReader,
  diagnostics: Diagnostics,
  unreached: "refuse" | "count",
  offset: number,
  reason: string,
): void {
  const what = `RAM after an undecodable section cannot be read: ${reason}, and its end cannot be found`;
  const error = reader.error("unsupported", what, { offset });
  if (unreached === "count") diagnostics.warn(error);
  else diagnostics.anomaly(error);
}

function canFollow(reader: QemuFileReader, at: number, before: BeforeUnknown): boolean {
  switch (reader.peek(at)) {
    case TypeByte.SECTION_START:
    case TypeByte.SECTION_FULL:
      return isNewSection(reader, at, before);
    case TypeByte.SECTION_PART:
    case TypeByte.SECTION_END: {
      const header = before.sections.get(u32(reader, at + 1));
      if (header?.type !== "start" || before.ended.has(header.sectionId)) return false;
      return header.idstr !== "ram" || isRecord(reader, at + 5, before.pageSize);
    }
    case TypeByte.COMMAND:
      return isCommandHead(u16(reader, at + 1), u16(reader, at + 3));
    case TypeByte.EOF:
      // Nothing, or VMDESCRIPTION: be32 length, and JSON.
      return (
        reader.peek(at + 1) < 0 || (reader.peek(at + 1) === TypeByte.VMDESCRIPTION && reader.peek(at + 6) === 0x7b)
      );
    default:
      return false;
  }
}

/** A START or FULL header of an id that is not in use, with a name that a device could have. */
function isNewSection(reader: QemuFileReader, at: number, { sections, pageSize }: BeforeUnknown): boolean {
  const id = u32(reader, at + 1);
  const length = reader.peek(at + 5);
  const tail = at + 6 + length;
  if (id < 0 || sections.has(id) || length <= 0 || reader.available < tail + 8) return false;
  const start = reader.position + at + 6;
  const idstr = latin1(reader.buffer.subarray(start, start + length));
  if (!/^[ -~]+$/u.test(idstr) || u32(reader, tail + 4) > LATEST_VERSION) return false;
  if (idstr !== "ram") return true;
  return u32(reader, tail + 4) === 4 && (u32(reader, tail + 12) & (pageSize - 1)) === RamFlag.MEM_SIZE;
}

/** Whether the be64 of a RAM record could be here: one flag, an offset below 2^53. */
function isRecord(reader: QemuFileReader, at: number, pageSize: number): boolean {
  const low = u32(reader, at + 4);
  const flag = low & (pageSize - 1) & ~RamFlag.CONTINUE;
  const known = PAGE_FLAGS | RamFlag.EOS | RamFlag.HOOK | RamFlag.MULTIFD_FLUSH;
  return low >= 0 && u32(reader, at) <= 0x1fffff && flag !== 0 && (flag & (flag - 1)) === 0 && (flag & ~known) === 0;
}

/** Big-endian, so many bytes on; -1 where they are not in the buffer. */
function u32(reader: QemuFileReader, at: number): number {
  const [high, low] = [u16(reader, at), u16(reader, at + 2)];
  return high < 0 || low < 0 ? -1 : high * 0x10000 + low;
}

function u16(reader: QemuFileReader, at: number): number {
  const [high, low] = [reader.peek(at), reader.peek(at + 1)];
  return high < 0 || low < 0 ? -1 : high * 256 + low;
}
