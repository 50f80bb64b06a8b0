import { QevmError } from "../../bytes/errors.js";
import { notLoaded, ReturnTail } from "../../io/transport/return-tail.js";
import { KeptTail, StreamEnd } from "../receive/index.js";
import { Announcement } from "./announcement.js";

/** What both sides have said of how a relayed migration ends. */
export class Outcome {
  readonly announcement = new Announcement();
  /** The end of the source's main channel so far. */
  readonly main = new KeptTail();
  /** The end of the destination's replies so far. */
  readonly replies = new ReturnTail();
  /** Why the first multifd channel was lost that the destination did not take to its end. */
  lost: unknown;

  /** Takes the next bytes of the main channel. */
  async note(chunk: Uint8Array): Promise<void> {
    this.main.add(chunk);
    await this.announcement.note(chunk);
  }

  /** Whether the destination has told the source that its guest is loaded. */
  async isLoaded(): Promise<boolean> {
    return (await this.replies.shut()) === 0;
  }

  /** Whether the main channel ends like a stream. */
  hasEnded(): boolean {
    const end = new StreamEnd(this.main);
    end.note(this.main.length);
    return end.isHere || end.mayBeHere;
  }

  /** The source asked for no answer, has got none, and has sent everything. */
  async isSentUnasked(): Promise<boolean> {
    return (await this.replies.shut()) === undefined && !this.announcement.is.returnPath && this.hasEnded();
  }

  /**
   * Errors: bad-value or truncated where the destination has not loaded everything.
   * @param answered whether it has sent anything
   */
  async check(answered: boolean): Promise<void> {
    const shut = await this.replies.shut();
    if (shut === 0) return;
    if (this.lost !== undefined && !this.hasEnded()) throw this.lost;
    if (shut !== undefined || this.announcement.is.returnPath || answered) throw notLoaded(shut);
    if (!this.hasEnded()) {
      throw new QevmError("truncated", "the connections ended before the stream did", { offset: this.main.length });
    }
  }
}
