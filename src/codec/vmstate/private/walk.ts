import { QevmError } from "../../../bytes/errors.js";

/**
 * A codec that is private to a kind of device, written once for both ways: `walk.u16("queue_sel")` reads the field into
 * the record when decoding, and takes it from the record and writes it when encoding; either way it answers the value,
 * so that later fields can depend on it.
 */
export interface Walk {
  u8(name: string): number;
  /** Big-endian, like everything QEMU writes field by field. */
  u16(name: string): number;
  u32(name: string): number;
  i32(name: string): number;
  u64(name: string): bigint;
  /** Little-endian: images of guest-visible registers. */
  le16(name: string): number;
  le32(name: string): number;
  le64(name: string): bigint;
  bytes(name: string, count: number): Uint8Array;
  /** A counted string. */
  string8(name: string): string;
  /**
   * Bytes up to where `end` says; decoding asks it for their number. A codec makes them a record where it fits them
   * exactly; it must not use its size.
   */
  until(name: string, end: (rest: Uint8Array) => number, codec?: PrivateCodec): void;
  /** A nested record. */
  group(name: string, body: () => void): void;
  /** So many records. */
  array(name: string, count: number, body: () => void): void;
  /** So many records of `width` bytes; those at the end that are all zero are left out of the list. */
  table(name: string, count: number, width: number, body: () => void): void;
  /** Records for as long as `more` says; decoding shows it the bytes ahead. */
  repeat(name: string, more: (rest: Uint8Array) => boolean, body: () => void): void;
  /** A record that is there only if decoding says so, null otherwise; answers whether it is. */
  optional(name: string, present: (rest: Uint8Array) => boolean, body: () => void): boolean;
  /** Bytes that are always these. */
  constant(bytes: readonly number[]): void;
  /** This codec does not know what it sees. */
  unknown(what: string): never;
}

/** A private codec: the layout of exactly `size` bytes. */
export type PrivateCodec = (walk: Walk, size: number) => void;

export type Scalar = "u8" | "u16" | "u32" | "i32" | "le16" | "le32";
export type Wide = "u64" | "le64";
/** Least and largest value. */
export const LIMITS: Record<Scalar, [number, number]> = {
  u8: [0, 0xff],
  u16: [0, 0xffff],
  u32: [0, 0xffffffff],
  i32: [-0x80000000, 0x7fffffff],
  le16: [0, 0xffff],
  le32: [0, 0xffffffff],
};

/** What is common to the walkers over bytes (`stream-walk.ts`) and over the plain form (`plain-walk.ts`). */
export abstract class BaseWalk implements Walk {
  /** @param path steps from the outside in, for errors; changed along the way */
  constructor(protected readonly path: string[]) {}

  u8(name: string): number {
    return this.scalar(name, "u8");
  }
  u16(name: string): number {
    return this.scalar(name, "u16");
  }
  u32(name: string): number {
    return this.scalar(name, "u32");
  }
  i32(name: string): number {
    return this.scalar(name, "i32");
  }
  le16(name: string): number {
    return this.scalar(name, "le16");
  }
  le32(name: string): number {
    return this.scalar(name, "le32");
  }
  u64(name: string): bigint {
    return this.wide(name, "u64");
  }
  le64(name: string): bigint {
    return this.wide(name, "le64");
  }
  protected abstract scalar(name: string, kind: Scalar): number;
  protected abstract wide(name: string, kind: Wide): bigint;
  abstract bytes(name: string, count: number): Uint8Array;
  abstract string8(name: string): string;
  abstract until(name: string, end: (rest: Uint8Array) => number, codec?: PrivateCodec): void;
  abstract group(name: string, body: () => void): void;
  abstract array(name: string, count: number, body: () => void): void;
  abstract table(name: string, count: number, width: number, body: () => void): void;
  abstract repeat(name: string, more: (rest: Uint8Array) => boolean, body: () => void): void;
  abstract optional(name: string, present: (rest: Uint8Array) => boolean, body: () => void): boolean;
  abstract constant(bytes: readonly number[]): void;
  unknown(what: string): never {
    throw new QevmError("unsupported", what, { path: [...this.path] });
  }
}
