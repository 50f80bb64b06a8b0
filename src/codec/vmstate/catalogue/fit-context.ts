import type { DecodeContext } from "../context.js";
import { mayHave } from "./alike.js";
import { conditionsOf } from "./conditions.js";
import type { Book, Layout } from "./data.js";

/** The state of one attempt to fit a layout. */
export interface FitContext extends DecodeContext {
  readonly book: Book;
  /** Origins that all parts chosen so far have. */
  from: bigint;
  /** Origins that may have all parts chosen so far. */
  may: bigint;
  /** One combination of parts may come from several QEMUs. */
  readonly mixed: boolean;
  /** A `bool` is 0 or 1. */
  readonly strict: boolean;
  /** Each struct may have another layout than others of its vmsd. */
  readonly each: boolean;
  /** Arrays at the end of the section may have any length, and private fields any size. */
  readonly open: boolean;
  readonly endsAt: (offset: number) => boolean;
  /** Absolute offset of the last place where the section can end. */
  readonly last: number;
  /** What was chosen in this attempt, where a vmsd has one layout throughout a section. */
  readonly chosen: Map<unknown, number>;
  /** Places in `choices` of readings of one layout: first and last plus one. */
  readonly readings: [number, number][];
  /** The current struct has no more than one array. */
  alone: boolean;
  /**
   * An array has a length that was not seen, beside others whose lengths may not be those seen either; or a private
   * field has a size that was not seen, of bytes that its codec does not take.
   */
  guessed: boolean;
  /** Integers of the current struct. */
  numbers: Map<string, number>;
  /** Vectors of MSI-X, by the configuration space read last; 0: none. */
  vectors: number;
}

/** One of the layouts that a struct may have. */
export function choose(ctx: FitContext, layouts: readonly Layout[], key: unknown): Layout {
  const possible = ctx.mixed ? layouts : layouts.filter(({ from }) => (from & ctx.from) !== 0n);
  if (possible.length === 0) {
    throw ctx.reader.error("bad-description", "the catalogue has no layout that fits here");
  }
  const isConditional = possible.length > 1 && conditionsOf(possible[0]!.name) !== undefined;
  const found = possible[pick(ctx, isConditional ? {} : key, possible.length)]!;
  if (!ctx.mixed) ctx.from &= found.from;
  ctx.may &= mayHave(ctx.book, found);
  return found;
}

/** The same in all of an attempt for the same key. */
export function pick(ctx: FitContext, key: unknown, most: number): number {
  if (most === 1) return 0;
  const known = ctx.each ? undefined : ctx.chosen.get(key);
  if (known !== undefined && known < most) return known;
  const { way } = ctx.choices.take(most);
  ctx.chosen.set(key, way);
  return way;
}
