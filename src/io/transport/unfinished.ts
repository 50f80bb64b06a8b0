import { rmSync } from "node:fs";

/** Temporary files and folders of unfinished outputs, removed when the process exits. */
const unfinished = new Set<string>();
/** Callbacks to run at exit before these are removed. */
const before = new Set<(signal: string) => void>();
process.on("exit", () => removeAll("the end of the process"));

let bySignals = false;

/** Registers a temporary path until `forget`. It is removed when the process exits before that. */
export function rememberUnfinished(path: string): { forget(): void } {
  installHandlers();
  unfinished.add(path);
  return {
    forget: () => {
      if (unfinished.delete(path)) letSignalsBeWhereNothingIsLeft();
    },
  };
}

/**
 * Calls `work` when a signal (or `process.exit`) ends the process before `forget`. `work` is synchronous and called
 * once with the signal's name. Its exceptions are dropped, since the process is ending.
 */
export function beforeEnd(work: (signal: string) => void): { forget(): void } {
  installHandlers();
  before.add(work);
  return {
    forget: () => {
      if (before.delete(work)) letSignalsBeWhereNothingIsLeft();
    },
  };
}

/**
 * For programs: on Ctrl-C and similar signals, removes unfinished outputs and exits. Handlers are installed only while
 * there are such outputs, because a process that blocks in a system call does not receive signals that it handles.
 */
export function endBySignals(): void {
  bySignals = true;
}

/** Whether signals are handled: nothing may block the process then. */
export function awaitsSignals(): boolean {
  return bySignals && unfinished.size + before.size > 0;
}

/** Restores the default handling of signals, which ends the process at once. */
export function letSignalsBe(): void {
  process.off("SIGHUP", end).off("SIGINT", end).off("SIGTERM", end);
}

function installHandlers(): void {
  if (!bySignals || unfinished.size + before.size > 0) return;
  process.on("SIGHUP", end).on("SIGINT", end).on("SIGTERM", end);
}

function letSignalsBeWhereNothingIsLeft(): void {
  if (unfinished.size + before.size === 0) letSignalsBe();
}

/** Ends by the signal: `process.exit` would wait for threads that read from a pipe. */
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
      // The process is ending; there is no one to report to.
    }
  }
  for (const path of unfinished) rmSync(path, { recursive: true, force: true });
}
