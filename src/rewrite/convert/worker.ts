import { parentPort, workerData } from "node:worker_threads";
import { createDeflater, createInflater } from "../../engine/create.js";
import { BATCH_PAGES, type JobMemory, type WorkerReply, type WorkerRequest, type WorkerStart } from "./pool.js";

/** One thread of a `WorkerPool`. */
const start = workerData as WorkerStart;
const run = start.work === "deflate" ? await deflating(start) : await inflating(start);

parentPort?.on("message", (request: WorkerRequest | undefined) => {
  if (request === undefined) {
    parentPort?.close();
    return;
  }
  const reply: WorkerReply = { slot: request.slot, length: run(start.jobs[request.slot]!, request.count) };
  // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
  parentPort?.postMessage(reply);
});

type Run = (memory: JobMemory, count: number) => number;

async function deflating({ kind, level, pageSize }: WorkerStart): Promise<Run> {
  const batch = (await createDeflater(kind, { level, pageSize })).batch(BATCH_PAGES);
  return (memory, count) => {
    batch.pages.set(memory.input.subarray(0, count * pageSize));
    batch.words.set(memory.words.subarray(0, count));
    const length = batch.runRecords(count);
    memory.output.set(batch.output.subarray(0, length));
    memory.flags.set(batch.zero.subarray(0, count));
    return length;
  };
}

async function inflating({ kind, pageSize }: WorkerStart): Promise<Run> {
  const batch = (await createInflater(kind, { pageSize })).batch(BATCH_PAGES);
  return (memory, count) => {
    const last = count - 1;
    batch.input.set(memory.input.subarray(0, memory.starts[last]! + memory.lengths[last]!));
    batch.starts.set(memory.starts.subarray(0, count));
    batch.lengths.set(memory.lengths.subarray(0, count));
    batch.run(count);
    memory.output.set(batch.pages.subarray(0, count * pageSize));
    for (let i = 0; i < count; i++) memory.flags[i] = batch.failure(i) === undefined ? 0 : 1;
    return count * pageSize;
  };
}
