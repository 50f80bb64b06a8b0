import { parentPort } from "node:worker_threads";
import { markDirty } from "../../src/rewrite/save/guest-memory.js";
import type { WriterSetup } from "./guest.js";

function say(text: string): void {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
  parentPort?.postMessage(text);
}

parentPort?.on("message", (setup: WriterSetup) => {
  say("ready");
  write(setup);
  say("stopped");
});

/** Writes until it is told to stop. */
function write({ memory, log, control, writer, writers, rate }: WriterSetup): void {
  const bytes = new Uint8Array(memory);
  const words = new Int32Array(log);
  const state = new Int32Array(control);
  const pages = bytes.length / 4096;
  const first = Math.floor((pages * writer) / writers);
  let page = first;
  let value = writer;
  let due = performance.now();
  while (Atomics.load(state, 0) === 0) {
    // Writes a few bytes or a whole page, sometimes only zeros, and marks the page after the write. Every other write
    // goes to one of four hot pages.
    value = (value + 1) & 0xff;
    const hot = (value & 1) === 1;
    const target = hot ? first + ((value >> 1) & 3) : page;
    const at = target * 4096;
    if (value % 16 === 0) bytes.fill(value % 32 === 0 ? 0 : value, at, at + 4096);
    else for (let i = 0; i < 64; i++) bytes[at + ((i * 61 + value) & 4095)] = value ^ i;
    markDirty(words, target);
    if (!hot) page = (page + 1) % pages;
    if (rate === 0) continue;
    due += 1000 / rate;
    const early = due - performance.now();
    if (early > 2) Atomics.wait(state, 0, 0, early);
  }
}
