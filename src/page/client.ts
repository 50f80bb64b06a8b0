/** The page's side of its worker. */
import { QevmError } from "../bytes/errors.js";
import type { Answer, Ask, Question, Questions } from "./protocol.js";

/** How far a question has come: bytes of the file read, and since when, in milliseconds of `performance.now`. */
export interface Progress {
  what: string;
  done: number;
  total: number;
  since: number;
}

interface Waiting {
  question: Question;
  since: number;
  /** What was told last. */
  told: { what: string; done: number } | undefined;
  resolve: (value: unknown) => void;
  reject: (reason: unknown) => void;
}

/** Makes a worker: from its file, or from the text of it that is in the page. */
export type MakeWorker = () => Worker;

/** A worker with what was asked of it. Ending it ends whatever it does. */
export class Client {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private next = 1;

  constructor(
    make: MakeWorker,
    private readonly tell: (progress: Progress | undefined) => void,
  ) {
    this.worker = make();
    this.worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => this.take(data));
    this.worker.addEventListener("error", (event) => this.fail(event.message));
  }

  /** Errors: `QevmError`, with what the program would print; "cancelled" after `end`. */
  ask<Q extends Question>(question: Q, ...args: Parameters<Questions[Q]>): Promise<ReturnType<Questions[Q]>> {
    const id = this.next++;
    const answer = new Promise<unknown>((resolve, reject) => {
      this.waiting.set(id, { question, since: performance.now(), told: undefined, resolve, reject });
    });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker has none
    this.worker.postMessage({ id, question, args } satisfies Ask);
    return answer as Promise<ReturnType<Questions[Q]>>;
  }

  end(): void {
    this.worker.terminate();
    this.fail("cancelled");
  }

  private fail(message: string): void {
    for (const { reject } of this.waiting.values()) reject(new QevmError("io", message));
    this.waiting.clear();
    this.tell(undefined);
  }

  private take(answer: Answer): void {
    const asked = this.waiting.get(answer.id);
    if (asked === undefined) return;
    if ("done" in answer) {
      const { what, done, total } = answer;
      const { told } = asked;
      // Another reading: its rate counts from its own beginning.
      if (told !== undefined && (told.what !== what || done < told.done)) asked.since = performance.now();
      asked.told = { what, done };
      this.tell({ what, done, total, since: asked.since });
      return;
    }
    this.waiting.delete(answer.id);
    if (this.waiting.size === 0) this.tell(undefined);
    // What is asked next begins now.
    for (const one of this.waiting.values()) one.since = performance.now();
    if ("refusal" in answer) asked.reject(new QevmError("io", answer.refusal));
    else asked.resolve(answer.value);
  }
}
