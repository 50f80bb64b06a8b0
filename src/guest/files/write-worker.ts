import { writeSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { QevmError } from "../../bytes/errors.js";
import { serve, type Slot, type WorkerStart } from "../../io/threads/index.js";
import { textOf } from "../../io/transport/attempt.js";

/** The module that a `WriteThread` runs. */
void serve((workerData as WorkerStart<undefined>).ring, {
  run(slot: Slot): void {
    const { source, input, starts, lengths, count } = slot;
    try {
      for (let i = 0; i < count; i++) {
        const at = slot.offset(i, 1);
        const length = lengths[i]!;
        for (let done = 0; done < length;) {
          done += writeSync(source, input, starts[i]! + done, length - done, at + done);
        }
      }
    } catch (error) {
      throw new QevmError("io", textOf(error));
    }
  },
});
