/** Records kept at first; room doubles. */
const FIRST = 256;

/**
 * The XBZRLE records of pages, each page's a chain from its last one back; 12 bytes a record, which takes 11 of a
 * stream or more.
 */
export class DeltaChains {
  private positions = new Float64Array(FIRST);
  private before = new Uint32Array(FIRST);
  /** Link 0 is the end of every chain. */
  private used = 1;

  /** Puts a record in front of a chain (0: an empty one) and returns the chain's new link. */
  add(chain: number, position: number): number {
    if (this.used === this.positions.length) this.grow();
    this.positions[this.used] = position;
    this.before[this.used] = chain;
    return this.used++;
  }

  /** Absolute offset of the last record of a chain that is not empty. */
  last(chain: number): number {
    return this.positions[chain]!;
  }

  /** Absolute offsets of a chain's records, in stream order. */
  of(chain: number): number[] {
    const found: number[] = [];
    for (let link = chain; link !== 0; link = this.before[link]!) found.push(this.positions[link]!);
    return found.toReversed();
  }

  private grow(): void {
    const { positions, before } = this;
    this.positions = new Float64Array(2 * positions.length);
    this.positions.set(positions);
    this.before = new Uint32Array(2 * before.length);
    this.before.set(before);
  }
}
