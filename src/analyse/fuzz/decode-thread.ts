import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { parentPort, workerData } from "node:worker_threads";
import { openContainers } from "../../io/container/open.js";
import { verifyRecording } from "../inspect/recording.js";
import { verifyStream } from "../inspect/verify.js";
import { MemorySource } from "../../bytes/index.js";
import { recordingOf, unbundle } from "./bundle.js";
import { kindsNamed, makeCase } from "./cases.js";
import type { decodeCase, FindKind } from "./decode-case.js";
import { takeApart, type Parts } from "./parts.js";
import { count, type Outcomes } from "./tally.js";

/** What a decode thread is started with. */
export interface DecodeSetup {
  /** The good inputs, which damage is done to; seed N takes number N modulo their count. */
  inputs: readonly Uint8Array[];
  kinds: readonly string[] | undefined;
  repair: boolean | undefined;
  firstSeed: number;
  /** The step to the next seed. */
  step: number;
  /** Seeds from here on are not this run's. */
  endSeed: number;
  /** Milliseconds since the epoch, after which no case is begun. */
  until: number;
  /** Bytes that may be held after a case. */
  memory: number;
  /** Module that exports `decodeCase`. */
  decoder: string;
  /** Two float64 for the watcher: 1 in a case, else 0 (it starts, or collects garbage); the cases that are done. */
  state: SharedArrayBuffer;
}

/** One thing wrong with the decoder. */
export interface Find {
  readonly find: FindKind;
  readonly seed: number;
  /** Number of the input. */
  readonly input: number;
  readonly kinds: readonly string[];
  readonly did: string;
  readonly message: string;
}

/** What a thread reports: its finds at once, its counts now and then. */
export type DecodeMessage =
  | { type: "find"; find: Find }
  | { type: "progress"; outcomes: Outcomes }
  | { type: "done"; heldAtStart: number; heldAtEnd: number };

/** Cases between two looks at the memory held. */
const LOOK = 16;
/** Milliseconds between two reports. */
const REPORT = 250;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

const setup = workerData as DecodeSetup;
const state = new Float64Array(setup.state);
const decoder = (await import(setup.decoder)) as { decodeCase: typeof decodeCase };
let outcomes: Outcomes = {};

function post(message: DecodeMessage): void {
  parentPort?.postMessage(message, []);
}

/** Milliseconds between two collections of garbage, and their greatest number. */
const REST = 20;
const COLLECTIONS = 25;
/** Bytes by which one collection may come out below the last and count as the same. */
const SMALL = 65536;

/** Bytes held after garbage collection, in the heap and in buffers. */
async function held(): Promise<number> {
  let least = Infinity;
  // What a case leaves to close (threads, files) is let go turns later, and buffers are freed beside this thread.
  for (let same = 0, i = 0; same < 3 && i < COLLECTIONS; i++) {
    collect();
    await sleep(REST);
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    same = heapUsed + arrayBuffers < least - SMALL ? 0 : same + 1;
    least = Math.min(least, heapUsed + arrayBuffers);
  }
  return least;
}

/** Whether more than `setup.memory` bytes are held. */
async function holdsTooMuch(): Promise<boolean> {
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers > setup.memory && (await held()) > setup.memory;
}

/** The complete result of decoding a good stream. */
async function portrait(bytes: Uint8Array): Promise<string> {
  try {
    const files = unbundle(bytes);
    const verification =
      files !== undefined
        ? await verifyRecording(recordingOf(files), { lenient: true })
        : await verifyStream(await openContainers(new MemorySource(bytes)), { lenient: true });
    return JSON.stringify(verification, (_, value: unknown) => (typeof value === "bigint" ? `${value}` : value));
  } catch (error) {
    return String(error);
  }
}

async function oneCase(
  bases: readonly Parts[],
  probe: { bytes: Uint8Array; looks: string },
  seed: number,
): Promise<void> {
  const input = seed % bases.length;
  const { kinds: names, repair } = setup;
  const test = makeCase(bases[input]!, seed, { kinds: names === undefined ? undefined : kindsNamed(names), repair });
  const outcome = await decoder.decodeCase(test.bytes, Math.floor(seed / bases.length) % 2 === 1);
  const { kinds, did } = test;
  const found = (find: FindKind, message: string): void =>
    post({ type: "find", find: { find, seed, input, kinds, did, message } });
  count(outcomes, kinds, outcome.outcome);
  if (outcome.find !== undefined) found(outcome.find, outcome.message ?? outcome.outcome);
  if (outcome.outcome !== "accepted" && outcome.outcome !== "opaque" && (await portrait(probe.bytes)) !== probe.looks) {
    found("spoilt", "a good stream decodes differently after this case");
  }
  if ((state[1]! + 1) % LOOK === 0 && (await holdsTooMuch()))
    found("memory", `more than ${setup.memory} bytes are held after the cases up to this one`);
}

const bases = await Promise.all(setup.inputs.map(async (bytes) => await takeApart(bytes)));
const smallest = setup.inputs.toSorted((a, b) => a.length - b.length)[0]!;
const probe = { bytes: smallest, looks: await portrait(smallest) };
const heldAtStart = await held();
let reported = Date.now();
for (let seed = setup.firstSeed; seed < setup.endSeed; seed += setup.step) {
  const now = Date.now();
  if (now >= setup.until) break;
  if (now - reported > REPORT) {
    post({ type: "progress", outcomes });
    reported = now;
    outcomes = {};
  }
  state[0] = 1;
  await oneCase(bases, probe, seed);
  state[1]! += 1;
}
state[0] = 0;
post({ type: "progress", outcomes });
post({ type: "done", heldAtStart, heldAtEnd: await held() });
