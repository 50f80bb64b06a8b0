/** What is still done with the bytes of a buffer: settles when they may change; undefined: nothing. */
export type InUse = (buffer: Uint8Array) => Promise<unknown> | undefined;

/**
 * Buffers of one length that are filled in turn, at most `most` of them. One that is given back is filled again only
 * when nobody uses it any more.
 */
export class Buffers {
  private readonly spare: Uint8Array[] = [];
  private made = 0;

  constructor(
    readonly length: number,
    private readonly most: number,
    private readonly inUse: InUse | undefined,
  ) {}

  /** One that is free now; undefined: all are in use, see `wait`. */
  take(): Uint8Array | undefined {
    const at = this.inUse === undefined ? 0 : this.spare.findIndex((buffer) => this.inUse!(buffer) === undefined);
    const [found] = at < 0 ? [] : this.spare.splice(at, 1);
    if (found !== undefined) return found;
    // With none spare, others were replaced by longer ones.
    if (this.made >= this.most && this.spare.length > 0) return undefined;
    this.made++;
    return new Uint8Array(this.length);
  }

  /** Settles when one of those given back may be free. */
  async wait(): Promise<void> {
    await Promise.race(this.spare.map(async (buffer) => await this.inUse?.(buffer)));
  }

  /** Gives back a buffer; one of another length is left to the garbage collector. */
  give(buffer: Uint8Array): void {
    if (buffer.length === this.length) this.spare.push(buffer);
  }

  /** Whether a buffer may be written to. */
  isFree(buffer: Uint8Array): boolean {
    return this.inUse?.(buffer) === undefined;
  }
}
