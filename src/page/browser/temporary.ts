/** Stands for `io/transport/temporary.ts`: there is no folder for what `ScratchMemory` keeps in memory here. */

/** The folder for temporary files. */
export function systemFolder(): string {
  return "";
}
