import { BlobSource, type RandomSource } from "../bytes/source.js";

/** Called with how far a file was read, in bytes. */
export type Told = (what: string, done: number, total: number) => void;

/** Milliseconds between two reports. */
const BETWEEN = 100;

/** A dropped file as a source, which says how far it was read. */
export class FileBytes implements RandomSource {
  readonly length: number;
  private readonly blob: BlobSource;
  private position = 0;
  private farthest = 0;
  private next = 0;

  constructor(
    file: Blob,
    private readonly what: string,
    private readonly tell: Told,
  ) {
    this.blob = new BlobSource(file);
    this.length = file.size;
  }

  async read(into: Uint8Array): Promise<number> {
    const n = await this.readAt(this.position, into);
    this.position += n;
    return n;
  }

  /** Beside what is done with the bytes before. */
  readonly readAhead = (position: number, into: Uint8Array): Promise<number> => this.readAt(position, into);

  async readAt(position: number, into: Uint8Array): Promise<number> {
    const n = await this.blob.readAt(position, into);
    this.farthest = Math.max(this.farthest, position + n);
    const now = performance.now();
    if (now >= this.next) {
      this.next = now + BETWEEN;
      this.tell(this.what, this.farthest, this.length);
    }
    return n;
  }

  seek(position: number): void {
    this.position = Math.min(position, this.length);
  }
}
