import { promisify } from "node:util";
import { gzip as gzipCallback } from "node:zlib";
import type { ByteSink } from "../../../bytes/source.js";

const gzip = promisify(gzipCallback);

/** Bytes of a member; the last one may have less. */
const MEMBER = 1 << 20;
/** Members that are compressed at a time: as many threads as Node's pool has unless it is told otherwise. */
const AT_ONCE = 4;

/**
 * A gzip file of members of 1 MiB, compressed side by side by Node's thread pool; every gunzip reads the members one
 * after the other. Memory: 9 MiB. `write` takes the chunk at once.
 */
export class GzipMembers {
  private piece = new Uint8Array(MEMBER);
  private used = 0;
  private written = false;
  private readonly members: Promise<Uint8Array>[] = [];

  constructor(private readonly file: ByteSink) {}

  /** Errors: those of the file. */
  async write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      const part = chunk.subarray(at, at + MEMBER - this.used);
      this.piece.set(part, this.used);
      this.used += part.length;
      at += part.length;
      if (this.used === MEMBER) await this.next();
    }
  }

  /** Errors: those of the file. */
  async end(): Promise<void> {
    // An empty file is not one of gzip.
    if (this.used > 0 || !this.written) await this.next();
    while (this.members.length > 0) await this.oldest();
  }

  private async next(): Promise<void> {
    const member = gzip(this.piece.subarray(0, this.used));
    // `oldest` throws it.
    member.catch(() => undefined);
    this.written = true;
    this.members.push(member);
    this.piece = new Uint8Array(MEMBER);
    this.used = 0;
    if (this.members.length >= AT_ONCE) await this.oldest();
  }

  private async oldest(): Promise<void> {
    await this.file.write(await this.members.shift()!);
  }
}
