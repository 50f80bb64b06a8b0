import { QevmError } from "../../bytes/errors.js";
import type { QemuFileReader, QemuFileWriter } from "../../bytes/index.js";
import type { StructDescription } from "./description.js";
import type { StructState } from "./state.js";

/** What a decoding attempt carries along. */
export interface DecodeContext {
  readonly reader: QemuFileReader;
  readonly choices: Choices;
  /** Bytes kept under a name only. */
  named: number;
  /** Values that may still be made, weighed by {@link Weight}; what bounds memory where values take few bytes or none. */
  budget: number;
  /** Inside an element that has no description of its own (not the first of a compressed array): sizes may differ. */
  shared: boolean;
  /** Of the struct at hand. */
  vmsdName: string | undefined;
  /** The section's name, in old-style handlers. */
  readonly oldStyle: string | undefined;
  /** Decodes a struct inside an element. */
  readonly struct: (ctx: DecodeContext, description: StructDescription) => StructState;
}

export interface EncodeContext {
  readonly writer: QemuFileWriter;
  /** Steps from the outside in, for errors. */
  readonly path: string[];
  shared: boolean;
  vmsdName: string | undefined;
  /** The section's name, in old-style handlers. */
  readonly oldStyle: string | undefined;
  /** Encodes a struct inside an element. */
  readonly struct: (ctx: EncodeContext, state: StructState) => void;
  /** Told before each value that `path` leads to is written. */
  readonly at?: ((path: readonly string[], offset: number) => void) | undefined;
}

/** Bounds of decoding one device where the caller says none: see `DecodeDeviceOptions`. */
export const MAX_VALUES = 1 << 24;
export const MAX_ATTEMPTS = 256;
export const MAX_WORK = 1 << 25;

/** The context of an attempt at the device that the reader stands at. */
export function newContext(
  reader: QemuFileReader,
  choices: Choices,
  budget: number,
  oldStyle: string | undefined,
  struct: DecodeContext["struct"],
): DecodeContext {
  return { reader, choices, named: 0, budget, shared: false, vmsdName: undefined, oldStyle, struct };
}

/**
 * What is taken from the budget for a value of each kind: about what it takes of memory, in units of 32 bytes. A number or bigint in an
 * array is 1.
 */
export const Weight = {
  /** A named value: its place in the record, and where it is bytes or an array, that object. */
  FIELD: 8,
  /** An object of its own in an array: bytes, a string. */
  OBJECT: 8,
  /** A struct, its fields aside. */
  STRUCT: 16,
  /** On top, an element of an array without bytes: only the description's count asks for it, and no byte has to be there. No QEMU writes any. */
  NO_BYTES: 16384,
} as const;

/** Takes `n` from the budget. */
export function spend(ctx: DecodeContext, n: number): void {
  ctx.budget -= n;
  if (ctx.budget < 0) throw ctx.reader.error("limit", "the device state has too many values (maxValues)");
}

/**
 * Where a description can be read in more than one way, decoding takes the likeliest and writes down that it had a
 * choice. When the attempt fails (a size that does not add up, no footer where one must be), the last choice is changed
 * and the attempt repeated.
 */
export class Choices {
  private readonly taken: number[] = [];
  private readonly options: number[] = [];
  private cursor = 0;

  /** A place with `options` ways: which one to go in this attempt, and the number of the place for `widen`. */
  take(options: number): { way: number; place: number } {
    const place = this.cursor++;
    if (place === this.taken.length) {
      this.taken.push(0);
      this.options.push(options);
    }
    return { way: this.taken[place]!, place };
  }

  /** A place turned out to have more ways than it was taken with. */
  widen(place: number, options: number): void {
    this.options[place] = Math.max(options, this.options[place]!);
  }

  /** Makes ready for the next attempt; false when everything has been tried. */
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

/** The size that a description states against what was found. */
export function checkSize(ctx: DecodeContext, from: number, size: number, what: string): void {
  const took = ctx.reader.position - from;
  if (took === size) return;
  throw ctx.reader.error("bad-description", `${what} takes another number of bytes than its description says`, {
    offset: ctx.reader.offset - took,
    expected: `${size} bytes`,
    found: `${took}`,
  });
}

/** Encoding must give as many bytes as the description says, or no reader of it would find its way. */
export function checkWritten(ctx: EncodeContext, from: number, size: number): void {
  const wrote = ctx.writer.offset - from;
  if (wrote !== size) throw refuse(ctx, "the value takes another number of bytes", `${size}`, `${wrote}`);
}

/** A {@link QevmError} about a value that cannot be encoded, at the place where encoding stands. */
export function refuse(ctx: EncodeContext, what: string, expected?: string, found?: string): QevmError {
  return new QevmError("does-not-fit", what, { path: [...ctx.path], expected, found });
}
