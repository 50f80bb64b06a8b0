import { FedSource } from "./fed-source.js";
import type { StreamEnd } from "./stream-end.js";

/** Milliseconds without a byte after which a stream that looks ended is taken for ended. */
const QUIET = 1000;

/**
 * The main channel while it comes in. It ends where the connection does, at once after a whole VMDESCRIPTION, or with a pause after what
 * a stream without one ends with.
 */
export class LiveSource extends FedSource {
  constructor(private readonly end: StreamEnd) {
    super();
  }

  protected override async more(): Promise<boolean> {
    if (this.end.isHere) return false;
    return (await this.woken(QUIET)) || !this.end.mayBeHere;
  }
}
