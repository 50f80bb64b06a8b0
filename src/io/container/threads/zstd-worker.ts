import { readSync } from "node:fs";
import { workerData } from "node:worker_threads";
import { BLOCK_HEADER, readBlockHeader } from "../../../engine/zstd-decoder.js";
import {
  COMMAND,
  DECODED,
  FINISHED,
  GROUP,
  JOBS,
  Kind,
  READY,
  STOP,
  TAKEN,
  ZstdJobs,
  type SharedZstd,
} from "./zstd-shared.js";

/**
 * The module of a thread that does the first stage of zstd for another one (src/io/container/threads/zstd-ahead.ts).
 */
const { shared, fd } = workerData as { shared: SharedZstd; fd: number };
const jobs = new ZstdJobs(shared);
const { bytes, control } = jobs;

function isStopped(): boolean {
  return Atomics.load(control, STOP) !== 0;
}

function publish(k: number, kind: number, from: number, to: number): void {
  jobs.note(k, kind, from, to);
  Atomics.store(control, DECODED, k + 1);
  if (kind !== Kind.BLOCK || (k + 1) % GROUP === 0) Atomics.notify(control, DECODED);
}

/** Waits until job k has a place; writes what is not yet written meanwhile. False: the owner stops. */
function hasRoom(k: number): boolean {
  while (k - Atomics.load(control, TAKEN) >= JOBS) {
    if (isStopped()) return false;
    if (!jobs.writeNext()) Atomics.wait(control, TAKEN, k - JOBS, 1000);
  }
  return !isStopped();
}

/** Where the next block begins in the file. */
let at = 0;

/** Decodes the blocks of a frame. What is not a block here, the owner finds for itself. */
function decode(): void {
  at = jobs.start;
  let k = Atomics.load(control, DECODED);
  if (!hasRoom(k)) return;
  let input = jobs.input(k);
  let got = readSync(fd, bytes, input, BLOCK_HEADER, at);
  for (let last = false; !last; k++) {
    const header = readBlockHeader(bytes, input);
    const { length } = header;
    if (got < BLOCK_HEADER || length === undefined) return publish(k, Kind.STOP, at, at);
    ({ last } = header);
    // The next block's header is read, too.
    got = readSync(fd, bytes, input + BLOCK_HEADER, length, at + BLOCK_HEADER) - (length - BLOCK_HEADER);
    if (got < 0 || jobs.decode(k, length) !== 0) return publish(k, Kind.STOP, at, at);
    publish(k, last ? Kind.LAST : Kind.BLOCK, at, at + length);
    at += length;
    if (last || !hasRoom(k + 1)) return;
    const next = jobs.input(k + 1);
    bytes.copyWithin(next, input + length, input + length + BLOCK_HEADER);
    input = next;
  }
}

Atomics.store(control, READY, 1);
for (let done = 0; !isStopped();) {
  const command = Atomics.load(control, COMMAND);
  if (command === done) {
    Atomics.wait(control, COMMAND, done);
    continue;
  }
  try {
    decode();
  } catch {
    // The owner meets the same where it goes on.
    publish(Atomics.load(control, DECODED), Kind.STOP, at, at);
  }
  done = command;
  Atomics.store(control, FINISHED, done);
  Atomics.notify(control, FINISHED);
}
