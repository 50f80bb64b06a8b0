import { BlobSource } from "../bytes/blob-source.js";
import type { RandomSource } from "../bytes/source.js";
import type { RecordedFiles } from "../io/container/is-recorded.js";
import type { Dropped } from "./protocol.js";

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
    const n = await this.blob.read(into);
    this.position += n;
    this.note(this.position);
    return n;
  }

  /** Beside what is done with the bytes before. */
  readonly readAhead = (position: number, into: Uint8Array): Promise<number> => this.readAt(position, into);

  async readAt(position: number, into: Uint8Array): Promise<number> {
    const n = await this.blob.readAt(position, into);
    this.note(position + n);
    return n;
  }

  seek(position: number): void {
    this.position = Math.min(position, this.length);
    this.blob.seek(position);
  }

  close(): void {
    this.blob.close();
  }

  private note(end: number): void {
    this.farthest = Math.max(this.farthest, end);
    const now = performance.now();
    if (now < this.next) return;
    this.next = now + BETWEEN;
    this.tell(this.what, this.farthest, this.length);
  }
}

/** What was dropped, as the library takes it. @param tell called with the sum over all files */
export function inputOf({ name, files, isFolder }: Dropped, what: string, tell: Told): FileBytes | RecordedFiles {
  if (!isFolder) return new FileBytes(files[0]!, what, tell);
  const total = files.reduce((sum, { size }) => sum + size, 0);
  const read = new Map<File, number>();
  let sum = 0;
  const opened = (file: File): FileBytes =>
    new FileBytes(file, what, (_, done) => {
      const before = read.get(file) ?? 0;
      sum += Math.max(0, done - before);
      read.set(file, Math.max(done, before));
      tell(what, sum, total);
    });
  return { name, files: files.map((file) => ({ name: file.name, length: file.size, open: () => opened(file) })) };
}
