import { parentPort } from "node:worker_threads";
import { Ring, type SharedRing, type Slot } from "./ring.js";

/** What a worker does with a batch. `wakes`: whether the owner is to know of it at once, when it sleeps ahead. */
interface Work {
  run(slot: Slot): void | Promise<void>;
  wakes?(slot: Slot): boolean;
}

/** The main loop of a worker: signals that it is ready, processes batches until the ring is stopped, and exits. */
export async function serve(shared: SharedRing, work: Work): Promise<void> {
  const ring = new Ring(shared);
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
  parentPort?.postMessage("ready");
  for (let slot = ring.claim(true); slot !== undefined; slot = ring.claim(true)) {
    try {
      const later = work.run(slot);
      if (later !== undefined) await later;
      const wakes = work.wakes?.(slot);
      ring.done(slot);
      if (wakes === true) ring.wake();
    } catch (error) {
      ring.fail(slot, error);
      if (work.wakes !== undefined) ring.wake();
    }
  }
}
