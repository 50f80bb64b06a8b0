/** The parts of the 2018 series that a measurement uses. The threads' parts are passed in the worker's file name. */
export interface Way {
  /** Entering another block neither flushes the threads nor compresses in the migration thread. */
  dispatchOnly: boolean;
  /** One deflate state per thread, reset for each page; otherwise a new one for each page. */
  keptState: boolean;
  /** The page is copied to the thread's buffer first. */
  ownBuffer: boolean;
  /** Pages per batch. */
  batch: number;
  /** Maximum batches in flight; QEMU: one page per thread. Undefined: the save path's default. */
  slots: number | undefined;
  /** The migration thread compresses while it waits for a thread. */
  help: boolean;
  /** Our engine in the threads, instead of node:zlib. */
  pageEngine: boolean;
}

/** The state before the series. */
export const OLD: Way = {
  dispatchOnly: false,
  keptState: false,
  ownBuffer: false,
  batch: 1,
  slots: 2,
  help: false,
  pageEngine: false,
};
