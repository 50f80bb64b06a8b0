import { parentPort } from "node:worker_threads";
import type { SlotWork } from "./pool.js";
import { Ring, type SharedRing } from "./ring.js";

/** The main loop of a worker: signals that it is ready, processes batches until the ring is stopped, and exits. */
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
