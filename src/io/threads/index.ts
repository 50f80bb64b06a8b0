export { helpedThreads, LOST_AFTER, lostThread, ThreadPool, type SlotWork, type WorkerStart } from "./pool.js";
export { aligned, copyShared, Slot, type RingShape } from "./ring.js";
export { serve } from "./serve.js";
