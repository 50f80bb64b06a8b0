import { rmSync } from "node:fs";

/** Temporary files and folders of unfinished outputs, removed when the process ends. */
const unfinished = new Set<string>();
/** What else is to be done before the process ends, before these are removed. */
const before = new Set<(signal: string) => void>();
process.on("exit", () => removeAll("the end of the process"));

let bySignals = false;

/** Remembers a temporary path until `forget`; it is removed when the process ends before that. */
export function rememberUnfinished(path: string): { forget(): void } {
  hear();
  unfinished.add(path);
  return {
    forget: () => {
      if (unfinished.delete(path)) letSignalsBeWhereNothingIsLeft();
    },
  };
}

/**
 * Calls `work` when a signal (or `process.exit`) ends the process before `forget`. It is synchronous, is called once with the signal's
 * name, and what it throws is dropped: the process ends.
 */
export function beforeEnd(work: (signal: string) => void): { forget(): void } {
  hear();
  before.add(work);
  return {
    forget: () => {
      if (before.delete(work)) letSignalsBeWhereNothingIsLeft();
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
  return bySignals && unfinished.size + before.size > 0;
}

/** Leaves signals to the system, which ends the process at once. */
export function letSignalsBe(): void {
  process.off("SIGHUP", end).off("SIGINT", end).off("SIGTERM", end);
}

function hear(): void {
  if (!bySignals || unfinished.size + before.size > 0) return;
  process.on("SIGHUP", end).on("SIGINT", end).on("SIGTERM", end);
}

function letSignalsBeWhereNothingIsLeft(): void {
  if (unfinished.size + before.size === 0) letSignalsBe();
}

/** By the signal itself: an exit would wait for threads that wait for a pipe. */
function end(signal: NodeJS.Signals): void {
  removeAll(signal);
  letSignalsBe();
  process.kill(process.pid, signal);
}

function removeAll(signal: string): void {
  for (const work of before) {
    before.delete(work);
    try {
      work(signal);
    } catch {
      // Nobody is left to be told.
    }
  }
  for (const path of unfinished) rmSync(path, { recursive: true, force: true });
}
