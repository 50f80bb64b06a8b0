/** What the cases of QEMU's refusals are made of: captures in other destinations, and damaged captures. */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { About } from "../../src/analyse/explain/types.js";
import { corpusEntry } from "../../tools/corpus.js";

/** A destination that refuses a stream, and the expected explanation. */
export interface Refused {
  name: string;
  entry: string;
  /** Changes the capture's stream. */
  damage?: (stream: Buffer) => Buffer;
  args: readonly string[];
  capabilities?: readonly string[];
  /** Sends the stream: by a pipe, or to a socket that `send` connects to. */
  send?: (path: string, stream: Buffer) => Promise<void>;
  files?: Readonly<Record<string, Uint8Array>>;
  /** The first of explain's findings. */
  cause: string;
  /** Of other versions, where it differs; null: not tested. */
  causes?: Readonly<Record<string, string | null>>;
  /** Parts of its `about`. */
  about?: Readonly<About>;
  /** The expected offset in the stream, found without code of `src`. */
  offset?: (stream: Buffer) => number;
  /** Must match a line of `here` or `why`. */
  says?: RegExp;
  /** Values of `-device` and other arguments that a remedy must contain. */
  proposes?: readonly string[];
  /** The load succeeds (QEMU only prints a warning). */
  loads?: boolean;
  /** Versions that never load the capture, with their error text. */
  never?: Readonly<Record<string, RegExp>>;
  /** Applies a remedy to the destination, which must then load. */
  cured?: "arguments" | "monitor" | "command" | "destination";
}

export const NONE = ["-nodefaults", "-vga", "none"];
/** A firmware file of the guest writer's size. */
export const BIOS = { "bios.img": Buffer.alloc(65_536) };
export const bios = ["-bios", "$DIR/bios.img"];
export const pc = (...more: string[]): string[] => ["-machine", "pc-i440fx-7.2", "-m", "8", ...more];
export const q35 = (...more: string[]): string[] => ["-machine", "pc-q35-7.2", "-m", "8", ...more];

/** Offset of a FULL or START section's type byte, by its name. */
export const sectionAt =
  (name: string) =>
  (stream: Buffer): number =>
    stream.indexOf(Buffer.concat([Buffer.from([name.length]), Buffer.from(name)])) - 5;

/** Offset of a block's entry in the list: the length byte of its name. */
export const blockAt =
  (name: string) =>
  (stream: Buffer): number =>
    stream.indexOf(Buffer.concat([Buffer.from([name.length]), Buffer.from(name)]));

export function changed(at: (stream: Buffer) => number, ...bytes: number[]): (stream: Buffer) => Buffer {
  return (stream) => {
    const out = Buffer.from(stream);
    out.set(bytes, at(stream));
    return out;
  };
}

/** Inserts a command before the RAM section. */
export function withCommand(number: number, ...payload: number[]): (stream: Buffer) => Buffer {
  return (stream) => {
    const at = sectionAt("ram")(stream);
    const command = Buffer.from([8, 0, number, 0, payload.length, ...payload]);
    return Buffer.concat([stream.subarray(0, at), command, stream.subarray(at)]);
  };
}

/** The whole stream over one connection, and a second connection that is not a multifd channel. */
export async function twoConnections(path: string, stream: Buffer): Promise<void> {
  for (const [i, bytes] of [stream, stream.subarray(0, 200)].entries()) {
    const socket = connect(path);
    socket.on("error", () => undefined);
    socket.write(bytes);
    if (i === 0) await sleep(100);
  }
}

/** The arguments of a capture with the machine type in full, each word changed. */
export function argsOf(entry: string, change: (arg: string) => string): string[] {
  const { command, machine } = corpusEntry(entry).capture;
  return command
    .slice(command.indexOf("-machine"))
    .map((arg, i, all) => (all[i - 1] === "-machine" ? machine : change(arg)));
}

export const commonDevices = (change: (arg: string) => string): string[] => argsOf("q35-common-devices", change);

/** A payload byte at an offset after a section's header. */
export const payloadAt =
  (name: string, more: number) =>
  (stream: Buffer): number =>
    sectionAt(name)(stream) + 6 + name.length + 8 + more;

/** A virtio device that the firmware uses. */
export const ACTIVE = "0000:00:02.0:00.0/virtio-blk";
