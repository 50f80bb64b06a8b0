import { QevmError } from "../../bytes/errors.js";
import { latin1, QemuFileReader } from "../../bytes/reader.js";
import type { ByteSource } from "../../bytes/source.js";
import { triedVmDescriptions } from "../vmstate/find.js";
import { parseVmDescription, type VmDescription } from "../vmstate/index.js";
import type { StreamOptions } from "./options.js";
import { StreamReader } from "./reader.js";

/** How far from the end of a seekable source the description is looked for before the whole stream is walked. */
const TAIL_WINDOW = 16 * 1024 * 1024;

/**
 * The description that a capture carries, or that a file of JSON alone is (the text of a VMDESCRIPTION).
 * Errors: bad-description where there is none; as `StreamReader`.
 */
export async function descriptionOf(source: ByteSource, options: StreamOptions = {}): Promise<VmDescription> {
  const { length } = source;
  if (source.readAt !== undefined && length !== undefined) {
    const window = await tail(source, length);
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

async function tail(source: ByteSource, length: number): Promise<Uint8Array> {
  const from = Math.max(0, length - TAIL_WINDOW);
  const reader = new QemuFileReader({
    read: ((at) => (into: Uint8Array) => {
      const got = source.readAt!(at, into);
      if (typeof got === "number") {
        at += got;
        return got;
      }
      return got.then((n) => {
        at += n;
        return n;
      });
    })(from),
  });
  await reader.fillToEnd(TAIL_WINDOW);
  return reader.bytes(reader.available);
}

function parsed(text: string, offset: number): VmDescription | undefined {
  try {
    return parseVmDescription(text, { offset });
  } catch (error) {
    if (error instanceof QevmError) return undefined;
    throw error;
  }
}
