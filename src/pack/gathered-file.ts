import { closeSync, openSync, writeSync } from "node:fs";
import { attempt } from "../transport/file.js";

/** A new file that small pieces are appended to. */
export class GatheredFile {
  private readonly fd: number;
  private readonly gathered = new Uint8Array(1 << 18);
  private used = 0;

  /** @param path what errors call it: which disk is full is to be told */
  constructor(private readonly path: string) {
    this.fd = attempt(path, () => openSync(path, "wx"));
  }

  write(bytes: Uint8Array): void {
    if (this.used + bytes.length > this.gathered.length) this.flush();
    if (bytes.length > this.gathered.length) {
      this.writeAll(bytes);
      return;
    }
    this.gathered.set(bytes, this.used);
    this.used += bytes.length;
  }

  flush(): void {
    this.writeAll(this.gathered.subarray(0, this.used));
    this.used = 0;
  }

  /** Without flushing. */
  close(): void {
    closeSync(this.fd);
  }

  private writeAll(bytes: Uint8Array): void {
    for (let done = 0; done < bytes.length;) done += attempt(this.path, () => writeSync(this.fd, bytes, done));
  }
}
