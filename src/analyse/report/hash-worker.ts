import { createHash } from "node:crypto";
import { readSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";

/** The module of a {@link HashThread}: posts the digest of a file. Errors: of the system; the thread ends with them. */
const fd = workerData as number;
const hash = createHash("sha256");
const buffer = new Uint8Array(1 << 18);
for (let at = 0, n = 1; n > 0; at += n) {
  n = readSync(fd, buffer, 0, buffer.length, at);
  hash.update(buffer.subarray(0, n));
}
// oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread's port, not a window's
parentPort?.postMessage(hash.digest("hex"));
