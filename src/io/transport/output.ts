import type { ByteSink } from "../../bytes/source.js";
import { AtomicFile } from "./file.js";
import { outputPlace } from "./output-place.js";
import { systemFolder } from "./temporary.js";
import { WritableSink } from "./writable.js";

/** The output of one stream: a file that appears at `commit`, or standard output. */
export interface Output extends ByteSink {
  commit(): void;
  /** Removes the temporary file. Does nothing after `commit`. */
  abort(): void;
}

/** Opens an output; `-` is standard output, where written bytes cannot be taken back. Errors: io, usage. */
export function openOutput(path: string): Output {
  if (path !== "-") return new AtomicFile(path);
  const sink = new WritableSink(process.stdout, "standard output");
  return { write: (chunk) => sink.write(chunk), commit: () => {}, abort: () => {} };
}

/**
 * The folder for scratch files during an output: the output's own folder, which has the space; the system's temporary
 * folder for standard output, devices and pipes. Errors: as `outputPlace`.
 */
export function scratchFor(path: string): string {
  return path === "-" ? systemFolder() : outputPlace(path).folder;
}
