export { ThreadPool, type PoolOptions, type SlotWork, type WorkerStart } from "./pool.js";
export { Ring, Slot, type RingShape, type SharedRing } from "./ring.js";
export { serve } from "./serve.js";
