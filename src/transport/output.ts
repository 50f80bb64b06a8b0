import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { ByteSink } from "../qemu-file/source.js";
import { AtomicFile } from "./file.js";
import { outputPlace } from "./output-place.js";
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

/** Where what is kept of the guest's memory lies while an output is made: beside it; of standard output in the system's temporary folder. */
export function scratchFor(path: string): string {
  const [folder, name] = path === "-" ? [tmpdir(), "qevm"] : [outputPlace(path).folder, basename(path)];
  return join(folder, `.${name}.${process.pid}.memory.partial`);
}
