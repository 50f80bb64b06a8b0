import { readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { MessageChannel, receiveMessageOnPort, Worker } from "node:worker_threads";
import { QevmError } from "../../bytes/errors.js";
import { LOST_AFTER, lostThread } from "../../io/threads/index.js";

/** A file to write. */
export interface WrittenFile {
  readonly fd: number;
  /** The name for errors. */
  readonly path: string;
}

/** Memory with pieces of a file: for each, where it is in the memory, its length, and where it belongs in the file. */
export interface WriteJob {
  readonly fd: number;
  readonly memory: Uint8Array;
  readonly pieces: readonly number[];
}

/** The memory of a job, and what the system said where it could not be written. */
export interface WrittenJob {
  readonly memory: Uint8Array;
  readonly error?: string;
}

/**
 * Bytes collected before a write; a write never crosses a multiple of this in the file. Measured on ext4 (Linux 6.18):
 * 1.5 GiB in writes of 128 KiB took 0.33 to 0.35 s, of 64 KiB 0.42 to 0.63, of 512 KiB and 1 MiB 0.4 to 1.6 (the page
 * cache then looks for larger pieces of memory). Unaligned writes took a third longer.
 */
export const GATHER = 1 << 17;

/** Words of the shared memory by which the threads wait for each other. */
export const Control = { RUNNING: 0, SENT: 1, BACK: 2, STOP: 3 } as const;

/** Memories on their way, at most, and bytes of one that is kept. More is fresh memory, which costs more than it saves. */
const MEMORIES = 8;
const LONGEST = 1 << 20;

/**
 * Another thread that writes what it is given, in order. Memory goes to it and comes back by transfer, so that nothing
 * is copied, and both threads wait by `Atomics.wait`: a turn of the event loop for each would cost what the thread
 * saves.
 */
export class WriteThread {
  private readonly control = new Int32Array(new SharedArrayBuffer(16));
  private readonly port;
  /** The files of the jobs on their way. */
  private readonly files: WrittenFile[] = [];
  private memories = 0;
  private failure: unknown;

  private constructor() {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    const worker = new Worker(new URL("write-worker.js", import.meta.url), {
      workerData: { port: port2, control: this.control },
      transferList: [port2],
    });
    worker.on("error", (error) => (this.failure ??= error));
  }

  /** Undefined where another thread is of no use or not safe, or the system refuses one. */
  static start(): WriteThread | undefined {
    if (!isThreadSafe()) return undefined;
    try {
      return new WriteThread();
    } catch {
      // Also where the module's path is unknown (a bundle).
      return undefined;
    }
  }

  /** Whether it is running. A thread whose module is not found never runs; give it nothing before. */
  get isRunning(): boolean {
    return Atomics.load(this.control, Control.RUNNING) === 1;
  }

  /**
   * Has pieces of a memory written, which is a whole `ArrayBuffer` and is gone then; returns another one, with anything
   * in it. Errors: io, including errors of earlier pieces.
   */
  post(to: WrittenFile, memory: Uint8Array, pieces: readonly number[]): Uint8Array {
    const length = Math.min(memory.length, LONGEST);
    const job: WriteJob = { fd: to.fd, memory, pieces };
    this.files.push(to);
    this.port.postMessage(job, [memory.buffer as ArrayBuffer]);
    this.tell(Control.SENT);
    const other = this.received() ?? (++this.memories < MEMORIES ? undefined : this.taken());
    return other === undefined || other.length > LONGEST ? new Uint8Array(length) : other;
  }

  /** Waits until everything is written. Errors: io. */
  settle(): void {
    while (this.files.length > 0) this.taken();
  }

  /** Ends the thread after what it was given, and waits for that, whatever comes of it. */
  close(): void {
    while (this.files.length > 0) {
      try {
        this.taken();
      } catch {
        // Told already, or nobody wants to know.
        if (this.failure !== undefined) break;
      }
    }
    Atomics.store(this.control, Control.STOP, 1);
    this.tell(Control.SENT);
    this.port.close();
  }

  private tell(word: number): void {
    Atomics.add(this.control, word, 1);
    Atomics.notify(this.control, word);
  }

  /** The next memory that came back; waits for it. */
  private taken(): Uint8Array {
    const until = performance.now() + LOST_AFTER;
    for (;;) {
      const back = Atomics.load(this.control, Control.BACK);
      const memory = this.received();
      if (memory !== undefined) return memory;
      if (performance.now() > until) this.failure ??= lostThread();
      if (this.failure !== undefined) throw new QevmError("io", "the writing thread failed", { cause: this.failure });
      Atomics.wait(this.control, Control.BACK, back, 1000);
    }
  }

  /** The next memory that came back, if there is one. Errors: io. */
  private received(): Uint8Array | undefined {
    const answer: { message: WrittenJob } | undefined = receiveMessageOnPort(this.port);
    if (answer === undefined) return undefined;
    const { memory, error } = answer.message;
    const to = this.files.shift();
    if (error !== undefined) throw new QevmError("io", `${to?.path}: ${error}`);
    return memory;
  }
}

/**
 * Whether another thread is useful and safe. Where the address space is limited, its heap may abort the process,
 * because V8 does not throw.
 */
function isThreadSafe(): boolean {
  if (availableParallelism() < 2) return false;
  try {
    return !/^Max address space +\d/mu.test(readFileSync("/proc/self/limits", "latin1"));
  } catch {
    // Not Linux.
    return true;
  }
}
