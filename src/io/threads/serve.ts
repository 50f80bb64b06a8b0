import { parentPort } from "node:worker_threads";
import type { SlotWork } from "./pool.js";
import { Ring, type SharedRing } from "./ring.js";

/** A worker's life: it says that it is ready, works off batches until the ring is stopped, and ends by itself. */
export function serve(shared: SharedRing, work: SlotWork): void {
  const ring = new Ring(shared);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
  parentPort?.postMessage("ready");
  for (let slot = ring.claim(true); slot !== undefined; slot = ring.claim(true)) {
    try {
      work.run(slot);
      ring.done(slot);
    } catch (error) {
      ring.fail(slot, error);
    }
  }
}
