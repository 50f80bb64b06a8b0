import { parentPort } from "node:worker_threads";
import { Ring, type SharedRing, type Slot } from "./ring.js";

/** The main loop of a worker: signals that it is ready, processes batches until the ring is stopped, and exits. */
export async function serve(shared: SharedRing, work: { run(slot: Slot): void | Promise<void> }): Promise<void> {
  const ring = new Ring(shared);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
  parentPort?.postMessage("ready");
  for (let slot = ring.claim(true); slot !== undefined; slot = ring.claim(true)) {
    try {
      const later = work.run(slot);
      if (later !== undefined) await later;
      ring.done(slot);
    } catch (error) {
      ring.fail(slot, error);
    }
  }
}
