import { FedSource } from "../../bytes/fed-source.js";
import type { StreamEnd } from "./stream-end.js";

/** Milliseconds without data after which a stream that looks complete counts as ended. */
const QUIET = 1000;

/**
 * The main channel while it arrives. It ends with the connection, at once after a complete VMDESCRIPTION, or with a
 * pause after the end of a stream without one.
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
