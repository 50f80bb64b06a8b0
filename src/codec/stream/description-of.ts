import { QevmError } from "../../bytes/errors.js";
import { latin1 } from "../../bytes/reader.js";
import { isRandom, readFully, type ByteSource } from "../../bytes/source.js";
import { triedVmDescriptions } from "../vmstate/find.js";
import { parseVmDescription, type VmDescription } from "../vmstate/index.js";
import type { StreamOptions } from "./options.js";
import { StreamReader } from "./reader.js";

/** How far from the end of a seekable source the description is looked for before the whole stream is walked. */
const TAIL_WINDOW = 16 * 1024 * 1024;

/**
 * The description in a capture, or a JSON file with the text of a VMDESCRIPTION.
 * Errors: bad-description where there is none; as `StreamReader`.
 */
export async function descriptionOf(source: ByteSource, options: StreamOptions = {}): Promise<VmDescription> {
  if (isRandom(source)) {
    const { length } = source;
    const end = new Uint8Array(Math.min(TAIL_WINDOW, length));
    const window = end.subarray(0, await readFully(source, length - end.length, end));
    if (window.length === length && window[0] === BRACE) return parseVmDescription(latin1(window).trimEnd());
    for (const { start, length: size } of triedVmDescriptions(window, options.limits?.descriptionBytes, true)) {
      const found = parsed(latin1(window.subarray(start, start + size)), length - window.length + start);
      if (found !== undefined) return found;
    }
  }
  const reader = new StreamReader(source, { ...options, unreached: "count" });
  for await (const item of reader) if (item.kind === "vmdescription") return item.description;
  throw new QevmError("bad-description", "the capture has no VMDESCRIPTION that it could lend", {
    offset: reader.offset,
  });
}

const BRACE = 0x7b;

function parsed(text: string, offset: number): VmDescription | undefined {
  try {
    return parseVmDescription(text, { offset });
  } catch (error) {
    if (error instanceof QevmError) return undefined;
    throw error;
  }
}
