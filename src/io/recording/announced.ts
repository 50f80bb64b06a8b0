import { QevmError } from "../../bytes/errors.js";
import type { ByteSource } from "../../bytes/source.js";
import { StreamReader } from "../../codec/stream/index.js";
import type { Recording } from "./recording.js";

/** What a source announces before its first section. */
export interface Announced {
  /** The source opened a return path, and finishes only after the destination's last message. */
  returnPath: boolean;
  /** The source may switch to postcopy. */
  postcopy: boolean;
  /** The first section was reached: the announcement is complete. */
  all: boolean;
}

/** Reads a main channel up to its first section, or as far as possible. */
export async function announced(source: ByteSource): Promise<Announced> {
  const found: Announced = { returnPath: false, postcopy: false, all: false };
  try {
    for await (const item of new StreamReader(source, { lenient: true, bufferSize: 1 << 12 })) {
      if (item.kind === "command") {
        if (item.command.name === "OPEN_RETURN_PATH") found.returnPath = true;
        if (item.command.name === "POSTCOPY_ADVISE" && item.command.ram !== undefined) found.postcopy = true;
      } else if (item.kind === "section" || item.kind === "opaque") {
        found.all = true;
        break;
      }
    }
  } catch (error) {
    if (!(error instanceof QevmError)) throw error;
  }
  return found;
}

/** Whether the source announced postcopy before its first section. Errors: io. */
export async function isPostcopy({ main }: Recording): Promise<boolean> {
  const source = main.open();
  try {
    return (await announced(source)).postcopy;
  } finally {
    await source.close?.();
  }
}
