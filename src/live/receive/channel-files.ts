import { closeSync, fsyncSync, ftruncateSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ChannelRole } from "../../io/recording/index.js";
import { attempt, readAll, writeAll } from "../../io/transport/attempt.js";
import { createFile } from "../../io/transport/temporary.js";

/** A channel's name, the number of its bytes, and how it ended. */
export class ChannelHead {
  length = 0;
  /** Everything that belongs to the channel has arrived. */
  whole = false;
  /** Why not everything has. */
  reason: string | undefined;

  constructor(
    readonly file: string,
    readonly role: ChannelRole,
  ) {}

  write(chunk: Uint8Array): void {
    this.length += chunk.length;
  }
}

/** One file of a recording while it is written. */
export class ChannelFile extends ChannelHead {
  private readonly path: string;
  private fd: number | undefined;

  constructor(folder: string, file: string, role: ChannelRole) {
    super(file, role);
    this.path = join(folder, file);
    this.fd = createFile(this.path);
  }

  /** A chunk that was written partially (full disk) counts as not written. */
  override write(chunk: Uint8Array): void {
    writeAll(this.path, this.fd!, chunk, this.length);
    super.write(chunk);
  }

  tail(most: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(most, this.length));
    readAll(this.path, this.fd!, bytes, this.length - bytes.length);
    return bytes;
  }

  /** Rewrites the last bytes. */
  amend(bytes: Uint8Array): void {
    writeAll(this.path, this.fd!, bytes, this.length - bytes.length);
  }

  /** Waits until the disk has stored every byte. */
  sync(): void {
    attempt(this.path, () => {
      ftruncateSync(this.fd!, this.length);
      fsyncSync(this.fd!);
    });
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  remove(): void {
    this.close();
    rmSync(this.path, { force: true });
  }
}

/**
 * The list of a recording: [channel, offset, length] in order of arrival; adjacent pieces of one channel are joined. It
 * is kept on disk, since long migrations have many. The facts about the recording follow at the end, and are rewritten
 * when more data arrives.
 */
export class Sequence {
  private readonly path: string;
  private fd: number | undefined;
  /** Size of the entries in the file. */
  private length = 0;
  private text = "";
  private first = true;
  private last: [channel: number, offset: number, length: number] | undefined;

  constructor(folder: string, name: string) {
    this.path = join(folder, name);
    this.fd = createFile(this.path);
    this.text = '{"version":1,"sequence":[';
  }

  add(channel: number, offset: number, length: number): void {
    if (this.last?.[0] === channel && this.last[1] + this.last[2] === offset) {
      this.last[2] += length;
      return;
    }
    this.put();
    this.last = [channel, offset, length];
    if (this.text.length > 1 << 16) this.flush();
  }

  /**
   * Writes the facts after the entries and waits until the disk has stored them. Errors: io.
   * @param bare without entries, where the disk has no space for them
   */
  settle(facts: Readonly<Record<string, unknown>>, bare = false): void {
    if (bare) {
      this.text = '{"version":1,"sequence":[';
      this.length = 0;
      this.last = undefined;
      attempt(this.path, () => ftruncateSync(this.fd!, 0));
    }
    this.put();
    this.flush();
    let tail = "]";
    for (const [key, value] of Object.entries(facts)) tail += `,\n${JSON.stringify(key)}:${JSON.stringify(value)}`;
    const bytes = Buffer.from(`${tail}}\n`);
    writeAll(this.path, this.fd!, bytes, this.length);
    attempt(this.path, () => {
      ftruncateSync(this.fd!, this.length + bytes.length);
      fsyncSync(this.fd!);
    });
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  private put(): void {
    if (this.last === undefined) return;
    this.text += `${this.first ? "\n" : ",\n"}${JSON.stringify(this.last)}`;
    this.first = false;
    this.last = undefined;
  }

  private flush(): void {
    const bytes = Buffer.from(this.text);
    writeAll(this.path, this.fd!, bytes, this.length);
    this.length += bytes.length;
    this.text = "";
  }
}
