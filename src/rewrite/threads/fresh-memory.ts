/** Bytes read before it is judged. */
const ENOUGH = 1 << 24;
/** Microseconds a page of 4096 bytes; cheap ones take about one, with huge pages less. */
const EXPENSIVE = 6;

/**
 * What the first touch of a page costs here, measured by reads into memory that is new. Where it is much more than the
 * copy (17 us were measured in a virtual machine without huge pages), several threads that touch are faster than one
 * that copies nothing twice.
 */
export class FreshMemory {
  private bytes = 0;
  private milliseconds = 0;

  /** @param threads how many could touch side by side; with one there is nothing to choose */
  constructor(private readonly threads: number) {}

  /** A read of so many bytes into new memory took so long. */
  note(bytes: number, milliseconds: number): void {
    if (this.bytes >= ENOUGH) return;
    this.bytes += bytes;
    this.milliseconds += milliseconds;
  }

  /** Decided once, after 16 MiB. */
  get isExpensive(): boolean {
    if (this.threads < 2 || this.bytes < ENOUGH) return false;
    return (this.milliseconds * 1000) / (this.bytes / 4096) > EXPENSIVE;
  }
}
