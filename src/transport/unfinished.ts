import { rmSync } from "node:fs";

/** Temporary files and folders of unfinished outputs, removed when the process ends. */
const unfinished = new Set<string>();
process.on("exit", removeAll);

let bySignals = false;

/** Remembers a temporary path until `forget`; it is removed when the process ends before that. */
export function rememberUnfinished(path: string): { forget(): void } {
  if (bySignals && unfinished.size === 0) process.on("SIGHUP", end).on("SIGINT", end).on("SIGTERM", end);
  unfinished.add(path);
  return {
    forget: () => {
      if (unfinished.delete(path) && unfinished.size === 0) letSignalsBe();
    },
  };
}

/**
 * For programs: Ctrl-C and its like end the process after what is unfinished is removed. They are handled only while there is
 * something, for a process that waits in a system call hears no signal that it handles itself.
 */
export function endBySignals(): void {
  bySignals = true;
}

/** Whether signals are waited for: nothing may block the process then. */
export function awaitsSignals(): boolean {
  return bySignals && unfinished.size > 0;
}

/** Leaves signals to the system, which ends the process at once. */
export function letSignalsBe(): void {
  process.off("SIGHUP", end).off("SIGINT", end).off("SIGTERM", end);
}

/** By the signal itself: an exit would wait for threads that wait for a pipe. */
function end(signal: NodeJS.Signals): void {
  removeAll();
  letSignalsBe();
  process.kill(process.pid, signal);
}

function removeAll(): void {
  for (const path of unfinished) rmSync(path, { recursive: true, force: true });
}
