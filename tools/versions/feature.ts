/** The rows and cells of the version matrix. */
import type { QemuBinary } from "../qemu/find.js";

/** The result of one feature in one version; the texts of a cell. */
export interface Proven {
  /** `qevm verify`: "identical", or what is wrong or opaque. */
  readonly verify: string;
  /** Memory as qevm reads it, compared with the stopped source: "equal", or the differences. */
  readonly memory: string;
  /** Loading the re-encoded stream in a destination of the same version: "loads", or the failure. */
  readonly loads: string;
}

/** One row. */
export interface Feature {
  readonly name: string;
  /** Capabilities that QEMU must have; without them the cell has an explanation. */
  readonly needs?: readonly string[];
  /** Why QEMU with all of `needs` still does not write this; undefined: it does. */
  readonly without?: (version: string) => string | undefined;
  readonly prove: (qemu: QemuBinary) => Promise<Proven>;
}

/** A cell: the results, or why there are none. */
export type Cell = Proven | string;

/** Whether a cell has no failure. */
export function good(cell: Cell): boolean {
  return typeof cell === "string" || (cell.verify === "identical" && cell.memory === "equal" && cell.loads === "loads");
}

/** A cell as text. */
export function wordsOf(cell: Cell): string {
  return typeof cell === "string" ? cell : `${cell.verify}, ${cell.memory}, ${cell.loads}`;
}
