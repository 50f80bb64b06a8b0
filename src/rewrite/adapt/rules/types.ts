import type { StructState } from "../../../codec/vmstate/index.js";
import type { MergeContext } from "../context.js";
import type { RecordValue } from "../../../codec/vmstate/index.js";
import type { Weight } from "../types.js";

/** What every rule says of itself. Its name is what `--accept` takes where it refuses. */
export interface Rule {
  readonly name: string;
  readonly weight: Weight;
  /** Said to the user. */
  readonly reason: string;
  /** The QEMU releases that it is between: the older ones have it one way, the newer ones the other. */
  readonly between?: readonly [before: string, since: string];
  /** File of QEMU, and the release that was read. */
  readonly source: string;
}

/**
 * A field whose presence depends on how the machine is made, not on what the guest did: the destination's layout
 * counts.
 */
export interface FieldRule extends Rule {
  readonly vmsd: string;
  readonly fields: readonly string[];
}

/** A subsection that the destination may not know. */
export interface SubsectionRule extends Rule {
  readonly subsection: string;
  /** The last release that was seen not to know it. */
  readonly lackedUpTo?: string;
  /** Its state is that of a guest which does not use it. */
  readonly harmless?: (state: StructState) => boolean;
}

/** A section that only one of the two has. */
export interface SectionRule extends Rule {
  readonly section: RegExp;
}

/** A section that QEMUs up to a release cannot load, not even their own. */
export interface BrokenLoadRule extends Rule {
  readonly section: RegExp;
  readonly until: string;
}

/** Another name of the same section or RAM block. */
export interface RenameRule extends Rule {
  readonly pattern: RegExp;
  /** With the groups of `pattern`. */
  readonly becomes: string;
}

/** Merges what the codec of a private field decoded. */
export type PrivateMerge = (old: RecordValue, pattern: RecordValue, ctx: MergeContext) => RecordValue;
