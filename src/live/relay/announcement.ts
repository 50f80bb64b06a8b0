import { MemorySource } from "../../bytes/index.js";
import { announced, type Announced } from "../../io/recording/index.js";

/** Maximum number of bytes before the announcement is complete. */
const HEAD = 1 << 16;

/** What a source announces before its first section, while its main channel passes. */
export class Announcement {
  is: Announced = { returnPath: false, postcopy: false, all: false };
  /** The first bytes of the main channel, until the announcement is complete. */
  private head: Uint8Array | undefined = new Uint8Array(0);

  /** It was made on another connection, which broke off after the switch to postcopy. */
  resume(): void {
    this.is = { returnPath: true, postcopy: true, all: true };
    this.head = undefined;
  }

  /** Takes the next bytes of the main channel. */
  async note(chunk: Uint8Array): Promise<void> {
    if (this.head === undefined) return;
    this.head = Buffer.concat([this.head, chunk.subarray(0, HEAD)]);
    this.is = await announced(new MemorySource(this.head));
    if (this.is.all || this.head.length >= HEAD) this.head = undefined;
  }
}
