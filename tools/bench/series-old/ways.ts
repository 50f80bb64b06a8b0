/** The parts of the series of 2018 that a measurement has; a file name of a worker says which of the threads' parts. */
export interface Way {
  /** Entering another block neither flushes the threads nor compresses in the migration thread. */
  dispatchOnly: boolean;
  /** One deflate state a thread, reset a page; otherwise a new one each page. */
  keptState: boolean;
  /** The page is copied to the thread's own buffer first. */
  ownBuffer: boolean;
  /** Pages a hand-over. */
  batch: number;
  /** Batches under way at most; QEMU: one page a thread. Undefined: as many as the save path finds good. */
  slots: number | undefined;
  /** The migration thread compresses while it waits for a thread. */
  help: boolean;
  /** Our own engine in the threads, instead of node:zlib. */
  pageEngine: boolean;
}

/** As it was before the series. */
export const OLD: Way = {
  dispatchOnly: false,
  keptState: false,
  ownBuffer: false,
  batch: 1,
  slots: 2,
  help: false,
  pageEngine: false,
};
