import { QevmError } from "../../../bytes/errors.js";

/**
 * A codec private to a kind of device, written once for both directions. When decoding, `walk.u16("queue_sel")` reads
 * the field into the record. When encoding, it takes the value from the record and writes it. Both return the value, so
 * that later fields can depend on it.
 */
export interface Walk {
  u8(name: string): number;
  /** Big-endian, like everything that QEMU writes field by field. */
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
   * Bytes up to the position that `end` returns; only decoding calls it. The bytes become a record where `codec` fits
   * exactly. The codec must not use its size.
   */
  until(name: string, end: (rest: Uint8Array) => number, codec?: PrivateCodec): void;
  /** A nested record. */
  group(name: string, body: () => void): void;
  /** `count` records. */
  array(name: string, count: number, body: () => void): void;
  /** `count` records of `width` bytes. All-zero records at the end are omitted from the list. */
  table(name: string, count: number, width: number, body: () => void): void;
  /** Records as long as `more` returns true; decoding passes it the following bytes. */
  repeat(name: string, more: (rest: Uint8Array) => boolean, body: () => void): void;
  /** A record that is present if `present` says so (when decoding), otherwise null. Returns whether it is present. */
  optional(name: string, present: (rest: Uint8Array) => boolean, body: () => void): boolean;
  /** Constant bytes. */
  constant(bytes: readonly number[]): void;
  /** Fails: this codec does not support the data. */
  unknown(what: string): never;
}

/** A private codec: the layout of exactly `size` bytes. */
export type PrivateCodec = (walk: Walk, size: number) => void;

export type Scalar = "u8" | "u16" | "u32" | "i32" | "le16" | "le32";
export type Wide = "u64" | "le64";
/** Minimum and maximum value. */
export const LIMITS: Record<Scalar, [number, number]> = {
  u8: [0, 0xff],
  u16: [0, 0xffff],
  u32: [0, 0xffffffff],
  i32: [-0x80000000, 0x7fffffff],
  le16: [0, 0xffff],
  le32: [0, 0xffffffff],
};

/** Common code of the walkers over bytes (`stream-walk.ts`) and over the plain form (`plain-walk.ts`). */
export abstract class BaseWalk implements Walk {
  /** @param path current path, outermost first, for errors; the walk changes it */
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
