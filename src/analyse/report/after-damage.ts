import { readPiece, SliceSource } from "../../io/container/sources.js";
import { isRandom } from "../../bytes/source.js";
import { QevmError } from "../../bytes/errors.js";
import { fromLatin1, latin1, type ByteSource } from "../../bytes/index.js";
import { StreamReader, type SectionItem, type StreamOptions } from "../../codec/stream/index.js";
import {
  findVmDescription,
  parseVmDescription,
  type DeviceDescription,
  type VmDescriptionCandidate,
} from "../../codec/vmstate/index.js";

/** Bytes from the end of the input that are searched. */
const WINDOW = 32 << 20;
/** Descriptions that are tried, from the last on, and places where reading is taken up again. */
const MOST_DESCRIPTIONS = 8;
const MOST_STARTS = 64;

/**
 * Device sections after the place where reading ended, in an input that can be read anywhere: the description at its
 * end says which there are, and each that follows is looked for by its header. What is found so is likely, not proved:
 * something else may look like a header.
 */
export async function sectionsAfterDamage(
  source: ByteSource,
  stream: StreamReader,
  options: StreamOptions,
): Promise<SectionItem[]> {
  if (!isRandom(source)) return [];
  const { known } = stream;
  const { offset = stream.offset } = (await stream.unfinished()) ?? {};
  const base = source.offset ?? 0;
  const from = Math.max(offset - base, source.length - WINDOW);
  if (from >= source.length) return [];
  const bytes = await readPiece(source, from, source.length - from);
  const description = lastDescription(bytes);
  if (description === undefined) return [];
  const found: SectionItem[] = [];
  let starts = 0;
  let at = 0;
  for (const device of description.devices) {
    const start = headerIn(bytes, device, at, description.position);
    if (start < 0) continue;
    if (++starts > MOST_STARTS) break;
    const reader = new StreamReader(new SliceSource(source, from + start), {
      ...options,
      after: known,
      unreached: "count",
    });
    at = start;
    try {
      for await (const item of reader) {
        // Not a device section: not what was looked for.
        if (item.kind === "section" && (item.type !== "full" || item.content.kind === "records")) break;
        if (item.kind === "section") found.push(item);
        if (item.kind === "eof") return found;
        at = Math.max(at, reader.offset - base - from);
      }
    } catch (error) {
      if (!(error instanceof QevmError) || error.code === "io") throw error;
    }
    at = Math.max(at, start + 1);
  }
  return found;
}

/** The last that is whole and can be read, and its offset. */
function lastDescription(bytes: Uint8Array): { devices: DeviceDescription[]; position: number } | undefined {
  const candidates: VmDescriptionCandidate[] = [];
  for (const candidate of findVmDescription(bytes)) {
    if (!candidate.complete) continue;
    candidates.push(candidate);
    if (candidates.length > MOST_DESCRIPTIONS) candidates.shift();
  }
  for (const { start, length, position } of candidates.toReversed()) {
    try {
      return { position, devices: parseVmDescription(latin1(bytes.subarray(start, start + length))).devices };
    } catch (error) {
      if (!(error instanceof QevmError)) throw error;
    }
  }
  return undefined;
}

/**
 * Index of a device's section header: 04, be32 section_id, str8 name, be32 instance_id; the last one before `end`, for
 * devices come last. -1: none.
 */
function headerIn(bytes: Uint8Array, { name, instanceId }: DeviceDescription, from: number, end: number): number {
  if (name.length === 0 || name.length > 255 || /[^\0-\u00ff]/u.test(name)) return -1;
  const header = new Uint8Array(1 + name.length + 4);
  header[0] = name.length;
  header.set(fromLatin1(name, "section name"), 1);
  new DataView(header.buffer).setUint32(1 + name.length, instanceId);
  const window = bytes.subarray(0, end);
  for (let at = window.lastIndexOf(0x04); at >= from; at = at === 0 ? -1 : window.lastIndexOf(0x04, at - 1)) {
    if (header.every((byte, k) => window[at + 5 + k] === byte)) return at;
  }
  return -1;
}
