import { closeSync, renameSync } from "node:fs";
import { join } from "node:path";
import { roleOf, ROLE_BYTES, type ChannelRole } from "../recording/index.js";
import { attempt, readAll, writeAll } from "../transport/attempt.js";
import { createFile } from "../transport/temporary.js";

/** What is known of a channel by the bytes that came over it. */
export class ChannelHead {
  length = 0;
  private readonly head = new Uint8Array(ROLE_BYTES);

  note(chunk: Uint8Array): void {
    if (this.length < ROLE_BYTES) this.head.set(chunk.subarray(0, ROLE_BYTES - this.length), this.length);
    this.length += chunk.length;
  }

  /** What the bytes so far say; undefined: nothing yet. */
  get role(): ChannelRole | undefined {
    return roleOf(this.head.subarray(0, Math.min(this.length, ROLE_BYTES)));
  }

  /** Channel id of a multifd channel. */
  get id(): number {
    return this.head[24]!;
  }
}

/** One file of a recording while it grows. */
export class ChannelFile extends ChannelHead {
  private readonly path: string;
  private fd: number | undefined;

  constructor(
    private readonly folder: string,
    readonly index: number,
  ) {
    super();
    this.path = join(folder, `channel-${index}.partial`);
    this.fd = createFile(this.path);
  }

  write(chunk: Uint8Array): void {
    writeAll(this.path, this.fd!, chunk, null);
    this.note(chunk);
  }

  tail(most: number): Uint8Array {
    const bytes = new Uint8Array(Math.min(most, this.length));
    readAll(this.path, this.fd!, bytes, this.length - bytes.length);
    return bytes;
  }

  /** Closes the file and gives it its name. */
  settle(name: string): void {
    this.close();
    attempt(this.path, () => renameSync(this.path, join(this.folder, name)));
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }
}

/** The names of a recording's channels, in their order; `answers` is what came back. */
export function channelNames(
  channels: readonly ChannelHead[],
  answers: ChannelHead | undefined,
): { file: string; role: ChannelRole; bytes: number }[] {
  const used = new Set<string>();
  return channels.map((channel) => {
    const role = channel === answers ? "return-path" : channel.role!;
    const stem = role === "multifd" ? `multifd-${channel.id}` : role;
    let file = `${stem}.bin`;
    for (let k = 1; used.has(file); k++) file = `${stem}-${k}.bin`;
    used.add(file);
    return { file, role, bytes: channel.length };
  });
}

/** Who wrote what when: [channel, offset, length], neighbours of one channel joined; on disk, since long migrations have many. */
export class Sequence {
  private readonly path: string;
  private fd: number | undefined;
  private text = "";
  private first = true;
  private last: [channel: number, offset: number, length: number] | undefined;

  /** Everything before the first entry stands in front. */
  constructor(folder: string, name: string) {
    this.path = join(folder, name);
    this.fd = createFile(this.path);
  }

  add(channel: number, offset: number, length: number): void {
    if (this.last?.[0] === channel) {
      this.last[2] += length;
      return;
    }
    this.put();
    this.last = [channel, offset, length];
  }

  /** Closes the list, with the names of the channels behind it. */
  settle(files: readonly string[], facts: Readonly<Record<string, unknown>>): void {
    this.put();
    const rest = Object.entries({ channels: files.map((file) => ({ file })), ...facts });
    this.text += `${this.first ? '{"version":1,"sequence":[' : ""}]`;
    for (const [key, value] of rest) this.text += `,\n${JSON.stringify(key)}:${JSON.stringify(value)}`;
    this.text += "}\n";
    this.flush();
    this.close();
  }

  close(): void {
    if (this.fd !== undefined) closeSync(this.fd);
    this.fd = undefined;
  }

  private put(): void {
    if (this.last === undefined) return;
    this.text += `${this.first ? '{"version":1,"sequence":[\n' : ",\n"}${JSON.stringify(this.last)}`;
    this.first = false;
    this.last = undefined;
    if (this.text.length > 1 << 16) this.flush();
  }

  private flush(): void {
    writeAll(this.path, this.fd!, Buffer.from(this.text), null);
    this.text = "";
  }
}
