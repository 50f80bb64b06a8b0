import { QevmError } from "../../bytes/errors.js";
import type { QemuFileReader, QemuFileWriter } from "../../bytes/index.js";
import type { StructDescription } from "./description.js";
import type { StructState } from "./state.js";

/** The state of one decoding attempt. */
export interface DecodeContext {
  readonly reader: QemuFileReader;
  readonly choices: Choices;
  /** Bytes that are only named, not decoded. */
  named: number;
  /** Values that may still be created, weighed by {@link Weight}. Bounds memory where values take few bytes or none. */
  budget: number;
  /** True inside an element that shares the description of the first one (compressed arrays): sizes may differ. */
  shared: boolean;
  /** vmsd name of the current struct. */
  vmsdName: string | undefined;
  /** The section's name, in old-style handlers. */
  readonly oldStyle: string | undefined;
  /** Decodes a struct inside an element. */
  readonly struct: (ctx: DecodeContext, description: StructDescription) => StructState;
}

export interface EncodeContext {
  readonly writer: QemuFileWriter;
  /** Path of the current value, outermost first, for errors. */
  readonly path: string[];
  shared: boolean;
  vmsdName: string | undefined;
  /** The section's name, in old-style handlers. */
  readonly oldStyle: string | undefined;
  /** Encodes a struct inside an element. */
  readonly struct: (ctx: EncodeContext, state: StructState) => void;
  /** Called before each value is written, with its path. */
  readonly at?: ((path: readonly string[], offset: number) => void) | undefined;
}

/** Default bounds of decoding one device: see `DecodeDeviceOptions`. */
export const MAX_VALUES = 1 << 24;
export const MAX_ATTEMPTS = 256;
export const MAX_WORK = 1 << 25;

/** The context of one decoding attempt at the reader's position. */
export function newContext(
  reader: QemuFileReader,
  choices: Choices,
  budget: number,
  oldStyle: string | undefined,
  struct: DecodeContext["struct"],
): DecodeContext {
  return { reader, choices, named: 0, budget, shared: false, vmsdName: undefined, oldStyle, struct };
}

/** The cost of a value of each kind: about its memory, in units of 32 bytes. A number or bigint in an array costs 1. */
export const Weight = {
  /** A named value: its slot in the record, and the object if it is bytes or an array. */
  FIELD: 8,
  /** An object in an array: bytes, a string. */
  OBJECT: 8,
  /** A struct without its fields. */
  STRUCT: 16,
  /**
   * Added for an array element of no bytes: only the description's count creates it, without any data. QEMU does not
   * write any.
   */
  NO_BYTES: 16384,
} as const;

/** Subtracts `n` from the budget. */
export function spend(ctx: DecodeContext, n: number): void {
  ctx.budget -= n;
  if (ctx.budget < 0) throw ctx.reader.error("limit", "the device state has too many values (maxValues)");
}

/**
 * Where a description has more than one reading, decoding takes the likeliest and records the choice. When the attempt
 * fails (a size does not match, a footer is missing), the last choice is changed and decoding is repeated.
 */
export class Choices {
  private readonly taken: number[] = [];
  private readonly options: number[] = [];
  private cursor = 0;

  /**
   * A place with `options` readings. Returns the one to use in this attempt, and the index of the place for `widen`.
   */
  take(options: number): { way: number; place: number } {
    const place = this.cursor++;
    if (place === this.taken.length) {
      this.taken.push(0);
      this.options.push(options);
    }
    return { way: this.taken[place]!, place };
  }

  /** A place has more readings than it was recorded with. */
  widen(place: number, options: number): void {
    this.options[place] = Math.max(options, this.options[place]!);
  }

  /** The place taken next. */
  get place(): number {
    return this.cursor;
  }

  /** Keeps the readings used in this attempt at places `from` to `to`, without `to`: no others are tried with them. */
  settle(from: number, to: number): void {
    for (let place = from; place < to; place++) this.options[place] = this.taken[place]! + 1;
  }

  /** Prepares the next attempt. False when every combination was tried. */
  next(): boolean {
    // Places after the cursor were not reached in this attempt.
    this.taken.length = Math.min(this.taken.length, this.cursor);
    this.options.length = this.taken.length;
    this.cursor = 0;
    while (this.taken.length > 0) {
      const last = this.taken.length - 1;
      if (this.taken[last]! + 1 < this.options[last]!) {
        this.taken[last]!++;
        return true;
      }
      this.taken.pop();
      this.options.pop();
    }
    return false;
  }
}

/** Checks the size that the description states against the size found. */
export function checkSize(ctx: DecodeContext, from: number, size: number, what: string): void {
  const took = ctx.reader.position - from;
  if (took === size) return;
  throw ctx.reader.error("bad-description", `${what} takes another number of bytes than its description says`, {
    offset: ctx.reader.offset - took,
    expected: `${size} bytes`,
    found: `${took}`,
  });
}

/** Encoding must write the size that the description states; otherwise no reader could follow it. */
export function checkWritten(ctx: EncodeContext, from: number, size: number): void {
  const wrote = ctx.writer.offset - from;
  if (wrote !== size) throw refuse(ctx, "the value takes another number of bytes", `${size}`, `${wrote}`);
}

/** A {@link QevmError} about a value that cannot be encoded, at the current path. */
export function refuse(ctx: EncodeContext, what: string, expected?: string, found?: string): QevmError {
  return new QevmError("does-not-fit", what, { path: [...ctx.path], expected, found });
}
