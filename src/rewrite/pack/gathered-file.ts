import { closeSync } from "node:fs";
import { writeAll } from "../../io/transport/attempt.js";
import { createFile } from "../../io/transport/temporary.js";

/** A new file that small pieces are appended to. */
export class GatheredFile {
  private readonly fd: number;
  private readonly gathered = new Uint8Array(1 << 18);
  private used = 0;

  /** @param path what errors call it: so that an error names the disk that is full */
  constructor(private readonly path: string) {
    this.fd = createFile(path);
  }

  write(bytes: Uint8Array): void {
    if (this.used + bytes.length > this.gathered.length) this.flush();
    if (bytes.length > this.gathered.length) {
      writeAll(this.path, this.fd, bytes, null);
      return;
    }
    this.gathered.set(bytes, this.used);
    this.used += bytes.length;
  }

  flush(): void {
    writeAll(this.path, this.fd, this.gathered.subarray(0, this.used), null);
    this.used = 0;
  }

  /** Without flushing. */
  close(): void {
    closeSync(this.fd);
  }
}
