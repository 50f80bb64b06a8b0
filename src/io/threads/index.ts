export { helpedThreads, ThreadPool, type SlotWork, type WorkerStart } from "./pool.js";
export { aligned, Slot, type RingShape } from "./ring.js";
export { serve } from "./serve.js";
