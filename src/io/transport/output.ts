import type { ByteSink } from "../../bytes/source.js";
import { AtomicFile } from "./file.js";
import { outputPlace } from "./output-place.js";
import { systemFolder } from "./temporary.js";
import { WritableSink } from "./writable.js";

/** Where one stream is written to: a file that appears at `commit`, or standard output. */
export interface Output extends ByteSink {
  commit(): void;
  /** Removes what was written of a file. Safe after `commit`. */
  abort(): void;
}

/** Opens an output; `-` is standard output, which has what was written whatever follows. Errors: io, usage. */
export function openOutput(path: string): Output {
  if (path !== "-") return new AtomicFile(path);
  const sink = new WritableSink(process.stdout, "standard output");
  return { write: (chunk) => sink.write(chunk), commit: () => {}, abort: () => {} };
}

/**
 * The folder in which scratch memory is made while an output is: the output's own, where there is room for it; the system's temporary one
 * where the output is standard output, a device or a pipe. Errors: as `outputPlace`.
 */
export function scratchFor(path: string): string {
  return path === "-" ? systemFolder() : outputPlace(path).folder;
}
