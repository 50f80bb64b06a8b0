import { writeSync } from "node:fs";
import { receiveMessageOnPort, workerData, type MessagePort } from "node:worker_threads";
import { textOf } from "../../io/transport/attempt.js";
import { Control, GATHER, type WriteJob, type WrittenJob } from "./write-thread.js";

/** The module that a `WriteThread` runs. */
const { port, control } = workerData as { port: MessagePort; control: Int32Array };

Atomics.store(control, Control.RUNNING, 1);
for (;;) {
  // Before the look for a job, so that none is slept through.
  const sent = Atomics.load(control, Control.SENT);
  const next: { message: WriteJob } | undefined = receiveMessageOnPort(port);
  if (next !== undefined) {
    const done = written(next.message);
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
    port.postMessage(done, [done.memory.buffer as ArrayBuffer]);
    Atomics.add(control, Control.BACK, 1);
    Atomics.notify(control, Control.BACK);
  } else if (Atomics.load(control, Control.STOP) === 1) {
    break;
  } else {
    Atomics.wait(control, Control.SENT, sent);
  }
}
port.close();

function written({ fd, memory, pieces }: WriteJob): WrittenJob {
  try {
    for (let i = 0; i < pieces.length; i += 3) writePiece(fd, memory, pieces[i]!, pieces[i + 1]!, pieces[i + 2]!);
    return { memory };
  } catch (error) {
    return { memory, error: textOf(error) };
  }
}

/** In writes that end at multiples of `GATHER` in the file. */
function writePiece(fd: number, memory: Uint8Array, from: number, length: number, at: number): void {
  for (let done = 0; done < length;) {
    const next = Math.min(length - done, GATHER - ((at + done) % GATHER));
    done += writeSync(fd, memory, from + done, next, at + done);
  }
}
