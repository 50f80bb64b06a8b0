import { Worker } from "node:worker_threads";
import { QevmError } from "../../bytes/errors.js";
import { kindsNamed, makeCase } from "./cases.js";
import type { FindKind } from "./decode-case.js";
import type { DecodeMessage, DecodeSetup, Find } from "./decode-thread.js";
import { takeApart } from "./parts.js";
import { add, type Outcomes } from "./tally.js";

/** Which cases are tried, and how many. */
export interface DecodeRunOptions {
  /** Seed of the first case. Default 1. */
  seed?: number;
  /** Cases at most. Default: as many as the time allows. */
  cases?: number | undefined;
  /** Seconds after which no new case is started. Default: no limit where `cases` is given, otherwise 10. */
  seconds?: number | undefined;
  /** Threads, 1 to 64. Default 1. */
  jobs?: number;
  /** Names, or beginnings of names, of the kinds of damage. Default: all. */
  kinds?: readonly string[] | undefined;
  /** See `CaseOptions`. */
  repair?: boolean | undefined;
  /** Seconds that one case may take. Default 10. */
  caseSeconds?: number;
  /** Bytes that may be held after a case. Default 512 MiB. */
  memory?: number;
  /** The decoder to try: a module that exports `decodeCase` as `decode-case.ts` does. Default: our own. */
  decoder?: URL;
  /** Called now and then. */
  onProgress?: (cases: number, finds: number) => void;
  /** Called with every find and the bytes of its case, as it comes. */
  onFind?: (find: Find, bytes: Uint8Array) => void;
}

/** The result of a run. */
export interface DecodeRun {
  seed: number;
  cases: number;
  seconds: number;
  perSecond: number;
  finds: Find[];
  outcomes: Outcomes;
  /** Bytes that the threads held more at their end than at their start, garbage collected both times. */
  heldMore: number;
}

/** Finds after which a run ends: a decoder that is broken this much need not be looked at further. */
const MOST_FINDS = 100;

/**
 * Runs damaged copies of good inputs through our own decoder, in threads that are watched: one that hangs, dies or eats
 * memory is a find like any other, and another takes its place after the case.
 * Errors: usage.
 */
export async function runDecode(inputs: readonly Uint8Array[], options: DecodeRunOptions = {}): Promise<DecodeRun> {
  if (inputs.length === 0) throw new QevmError("usage", "no input to damage");
  if (options.kinds !== undefined) kindsNamed(options.kinds);
  const { seed = 1, jobs = 1, cases } = options;
  const started = Date.now();
  const seconds = options.seconds ?? (cases === undefined ? 10 : Infinity);
  const result: DecodeRun = { seed, cases: 0, seconds: 0, perSecond: 0, finds: [], outcomes: {}, heldMore: 0 };
  const until = started + seconds * 1000;
  const threads = Array.from({ length: jobs }, (_, i) => {
    const setup: DecodeSetup = {
      inputs,
      kinds: options.kinds,
      repair: options.repair,
      firstSeed: seed + i,
      step: jobs,
      endSeed: seed + (cases ?? Number.MAX_SAFE_INTEGER - seed),
      until,
      memory: options.memory ?? 512 * 1024 * 1024,
      decoder: (options.decoder ?? new URL("./decode-case.js", import.meta.url)).href,
      state: new SharedArrayBuffer(16),
    };
    return keepRunning(setup, options, result);
  });
  await Promise.all(threads);
  result.seconds = (Date.now() - started) / 1000;
  result.perSecond = Math.round(result.cases / Math.max(0.001, result.seconds));
  result.finds.sort((a, b) => a.seed - b.seed);
  return result;
}

/** One thread, and another after each case that ends it. */
async function keepRunning(setup: DecodeSetup, options: DecodeRunOptions, result: DecodeRun): Promise<void> {
  let firstSeed = setup.firstSeed;
  const note = async (find: Find): Promise<void> => {
    result.finds.push(find);
    options.onFind?.(find, await caseOf(setup, find.seed));
  };
  while (firstSeed < setup.endSeed && Date.now() < setup.until && result.finds.length < MOST_FINDS) {
    const lost = await runThread({ ...setup, firstSeed }, options, result, note);
    if (lost === undefined) return;
    const { seed } = lost;
    const { kinds, did } = await describe(setup, seed);
    await note({ find: lost.find, seed, input: seed % setup.inputs.length, kinds, did, message: lost.message });
    result.cases++;
    firstSeed = seed + setup.step;
  }
}

interface Lost {
  find: FindKind;
  /** Of the case at work. */
  seed: number;
  message: string;
}

/** Milliseconds that a thread may take to start, and to collect garbage at its end. */
const BESIDE = 60_000;

/** Returns undefined when the thread has ended. */
async function runThread(
  setup: DecodeSetup,
  options: DecodeRunOptions,
  result: DecodeRun,
  note: (find: Find) => Promise<void>,
): Promise<Lost | undefined> {
  const state = new Float64Array(setup.state);
  state.set([0, 0]);
  const worker = new Worker(new URL("./decode-thread.js", import.meta.url), {
    workerData: setup,
    resourceLimits: { maxOldGenerationSizeMb: 1024, maxYoungGenerationSizeMb: 64 },
  });
  const limit = (options.caseSeconds ?? 10) * 1000;
  let last = { inCase: 0, cases: 0, since: Date.now() };
  const notes: Promise<void>[] = [];
  return await new Promise<Lost | undefined>((resolve) => {
    let done = false;
    const finish = (lost?: Omit<Lost, "seed">): void => {
      if (done) return;
      done = true;
      clearInterval(watch);
      // Read once: the thread may still end the case.
      const cases = state[1]!;
      result.cases += cases;
      void worker.terminate().then(async () => {
        await Promise.all(notes);
        const seed = setup.firstSeed + cases * setup.step;
        resolve(lost === undefined || seed >= setup.endSeed ? undefined : { ...lost, seed });
      });
    };
    const watch = setInterval(() => {
      const [inCase, cases] = [state[0]!, state[1]!];
      const most = inCase === 1 ? limit : Math.max(limit, BESIDE);
      if (inCase !== last.inCase || cases !== last.cases) last = { inCase, cases, since: Date.now() };
      else if (Date.now() - last.since > most) finish({ find: "hang", message: `more than ${most / 1000} s` });
    }, 200);
    worker.on("message", (message: DecodeMessage) => {
      if (message.type === "find") {
        notes.push(note(message.find));
        if (result.finds.length >= MOST_FINDS) finish();
      } else if (message.type === "progress") {
        add(result.outcomes, message.outcomes);
        options.onProgress?.(result.cases + state[1]!, result.finds.length);
      } else {
        result.heldMore += Math.max(0, message.heldAtEnd - message.heldAtStart);
        finish();
      }
    });
    worker.on("error", (error: NodeJS.ErrnoException) => {
      const memory = error.code === "ERR_WORKER_OUT_OF_MEMORY";
      finish({ find: memory ? "memory" : "crash", message: error.stack ?? error.message });
    });
    worker.on("exit", (code) => finish({ find: "crash", message: `the thread ended with code ${code}` }));
  });
}

async function describe(
  setup: DecodeSetup,
  seed: number,
): Promise<{ kinds: readonly string[]; did: string; bytes: Uint8Array }> {
  const base = await takeApart(setup.inputs[seed % setup.inputs.length]!);
  const kinds = setup.kinds === undefined ? undefined : kindsNamed(setup.kinds);
  return makeCase(base, seed, { kinds, repair: setup.repair });
}

async function caseOf(setup: DecodeSetup, seed: number): Promise<Uint8Array> {
  const { bytes } = await describe(setup, seed);
  return bytes;
}
