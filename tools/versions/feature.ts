/** What a row of the version matrix is, and what stands in its cells. */
import type { QemuBinary } from "../qemu/find.js";

/** What was found of one feature in one version; the words of a cell. */
export interface Proven {
  /** `qevm verify`: "identical", or what is wrong or not understood. */
  readonly verify: string;
  /** Memory as qevm reads it against the stopped source: "equal", or what differs. */
  readonly memory: string;
  /** A destination of the same version that gets what was written again from fields: "loads", or what went wrong. */
  readonly loads: string;
}

/** One row. */
export interface Feature {
  readonly name: string;
  /** A capability that QEMU must know; one without it has an explained cell. */
  readonly needs?: readonly string[];
  /** Why QEMU with all of `needs` still does not write this; undefined: it does. */
  readonly without?: (version: string) => string | undefined;
  readonly prove: (qemu: QemuBinary) => Promise<Proven>;
}

/** A cell: what was proven, or why there is nothing to prove. */
export type Cell = Proven | string;

/** Whether nothing is wrong with a cell. */
export function good(cell: Cell): boolean {
  return typeof cell === "string" || (cell.verify === "identical" && cell.memory === "equal" && cell.loads === "loads");
}

/** A cell in words. */
export function wordsOf(cell: Cell): string {
  return typeof cell === "string" ? cell : `${cell.verify}, ${cell.memory}, ${cell.loads}`;
}
